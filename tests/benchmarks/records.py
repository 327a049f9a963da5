"""Time and peak memory of what reads many records, beside what reading their files once takes.

    python tests/benchmarks/records.py [N] [RECORD.json]

makes N records (20,000 unless said) from a template, a published one or a synthetic one, in a temporary folder.  Each
command runs in a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests")]

APP = "import sys; from rdu_bench.cli.app import app; app(['{}', sys.argv[1]], standalone_mode=False)"
STORE = "import sys; from rdu_bench.records.store import Store; store = Store(sys.argv[1]); "
COMMANDS = {
    "read the files": "import sys, pathlib; [p.read_bytes() for p in pathlib.Path(sys.argv[1]).rglob('*.json')]",
    "keys": STORE + "store.keys()",
    "has, 1000 times": STORE
    + "import json; spec = json.loads(store.paths()[0].read_text())['spec']; [store.has(spec) for _ in range(1000)]",
    **{name: APP.format(name) for name in ("status", "leaderboard", "verify")},
}
PEAK = "\nimport resource, sys\nprint(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"


def make(folder: Path, n: int, template: Path | None) -> None:
    """N records: 40 models, 3 data sets, seeds and targets as they come."""
    import fake_records

    from rdu_bench._hash import digest
    from rdu_bench.records.store import Store

    store = Store(folder)
    given = json.loads(template.read_text("utf-8")) if template else fake_records.rich(fake_records.record("vae"))
    for i in range(n):
        record = json.loads(json.dumps(given))
        record["spec"] |= {"model": "vae" if i % 40 == 0 else f"model{i % 40}", "dataset_label": f"data{i // 40 % 3}"}
        record["spec"] |= {"seed": i // 120 // 8, "sigma": (None, 2.0, 4.0, 6.0, 9.0, 13.0, 18.0, 30.0)[i // 120 % 8]}
        record["model"]["title"] = record["spec"]["model"]
        record["key"] = digest(record["spec"])
        path = store.path(record["spec"], record["key"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n", "utf-8")


def main() -> None:
    """Print a line a command: seconds, as a multiple of reading the files, and peak memory."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), n, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
        once = 0.0
        for what, code in COMMANDS.items():
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code + PEAK, name], capture_output=True, text=True, cwd=ROOT)
            wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            once = once or cpu
            last = done.stderr.strip().splitlines()[-1]
            peak = f"{int(last) / 1024:6.0f} MB" if last.isdigit() else last
            print(
                f"{what:16} {wall:6.1f} s, {cpu:6.1f} s of work, {cpu / once:5.1f} times the reading, {peak}",
                flush=True,
            )


if __name__ == "__main__":
    main()
