"""Seconds, memory and bytes of a report of N and of 10 N records: `python tests/benchmarks/report.py FOLDER [N]`.

FOLDER holds the records of a run, which are copied with other seeds until there are N; vectors are hard links.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def copies(source: Path, out: Path, n: int) -> None:
    """n records made from those of `source`, the second copy of each with seed 1, and so on."""
    paths = sorted((source / "records").glob("*/*/*.json"))
    templates = [(path, json.loads(path.read_text("utf-8"))) for path in paths]
    for i in range(n):
        path, record = templates[i % len(templates)]
        seed = i // len(templates)
        record["spec"]["seed"] = seed
        record["key"] = hashlib.blake2b(f"{path}{seed}".encode(), digest_size=8).hexdigest()
        at = "elbo" if record["spec"]["sigma"] is None else f"{record['spec']['sigma']:g}"
        made = out / path.parent.relative_to(source) / f"s{seed}-{at}-{record['key']}.json"
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text(json.dumps(record, ensure_ascii=False), "utf-8")
        beside = path.with_suffix(".safetensors")
        if beside.is_file():
            try:
                os.link(beside, made.with_suffix(".safetensors"))
            except OSError:
                shutil.copyfile(beside, made.with_suffix(".safetensors"))


def drawn(folder: str) -> None:
    """Draws the report of a folder and says what it took, as JSON."""
    from rdu_bench.report import render

    start = time.perf_counter()
    page = render(Path(folder), folder)
    took = {"seconds": time.perf_counter() - start, "cpu": time.process_time(), "page": page.stat().st_size}
    took["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    took["figures"] = sum(path.stat().st_size for path in (page.parent / "figures").iterdir())
    print(json.dumps(took))


def main(source: Path, n: int) -> None:
    """Both sizes, each in a process of its own, and their ratios."""
    found = []
    for size in (n, 10 * n):
        with tempfile.TemporaryDirectory() as folder:
            copies(source, Path(folder), size)
            done = subprocess.run([sys.executable, __file__, "--draw", folder], check=True, stdout=subprocess.PIPE)
            took = json.loads(done.stdout.splitlines()[-1])
        found.append(took)
        print(
            f"{size:7} records: {took['seconds']:6.1f} s ({took['cpu']:.1f} s of processor), "
            f"{took['memory'] / 2**20:6.0f} MB, "
            f"page {took['page'] / 1e6:.2f} MB, figures {took['figures'] / 1e6:.2f} MB",
            flush=True,
        )
    print("  10 times as many:", ", ".join(f"{name} × {found[1][name] / found[0][name]:.2f}" for name in found[0]))


if __name__ == "__main__":
    if sys.argv[1] == "--draw":
        drawn(sys.argv[2])
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
