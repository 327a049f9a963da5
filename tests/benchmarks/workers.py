"""One worker against two: `python tests/benchmarks/workers.py`.

The same four curves, the same folder layout, taken in turn; prints how much faster two processes are than one.
"""

from __future__ import annotations

import tempfile
import time

from rdu_bench.engine.run import run


def main() -> None:
    seconds = {}
    for jobs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            run("quick", models=["vae", "wae", "vib"], sigmas=[2.0, 6.0], jobs=jobs, out=folder, quiet=True)
            seconds[jobs] = time.perf_counter() - began
    print(f"two workers: {seconds[1] / seconds[2]:.2f} times as fast as one")


if __name__ == "__main__":
    main()
