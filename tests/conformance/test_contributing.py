"""CONTRIBUTING does what it says, word for word; the front page of models/ is made from the files."""

import os
import re
import subprocess
import sys
from pathlib import Path

from rdu_bench.conformance.scaffold import survey

ROOT = Path(__file__).parents[2]


def commands(text):
    blocks = re.findall(r"```bash\n(.*?)```", text, flags=re.S)  # indented too, as in lists
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def test_adding_a_model_works_as_it_is_written(tmp_path):
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = text[text.index("## A model") : text.index("Rules of the interface")]
    steps = [*re.findall(r"`(rdu-bench [^`]+)`", section), *commands(section)]
    assert [s.split()[1] for s in steps] == ["new", "check", "models", "run", "leaderboard"]
    said = []
    env = {**os.environ, "RDU_BENCH_PLUGINS": str(tmp_path), "OMP_NUM_THREADS": "1"}
    for step in steps:
        command = [sys.executable, "-m", "rdu_bench", *step.split()[1:]]
        if "new" in command:
            (tmp_path / "models").mkdir()
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"
        said.append(done.stdout)
    assert "nothing is wrong" in said[1] and "penalty" in said[2]
    assert "MyVae" in said[4] and "(reference)" in said[4]


def test_the_front_page_of_the_models_is_made_from_their_rows():
    assert (ROOT / "models" / "README.md").read_text("utf-8") == survey()
