"""One worker against two: `python tests/benchmarks/workers.py`.

The same points, the same folder layout, taken in turn; prints how much faster two processes are than one, of a few
curves and of one, whose points they share.
"""

from __future__ import annotations

import tempfile
import time

from rdu_bench.engine.run import run

ASKED = {
    "of three curves": (["vae", "wae", "vib"], [2.0, 6.0]),
    "of one curve": (["vae"], [1.0, 2.0, 4.0, 6.0, 9.0, 13.0]),
}


def main() -> None:
    for what, (models, sigmas) in ASKED.items():
        seconds = {}
        for jobs in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                run("quick", models=models, sigmas=sigmas, jobs=jobs, out=folder, quiet=True)
                seconds[jobs] = time.perf_counter() - began
        print(f"two workers: {seconds[1] / seconds[2]:.2f} times as fast as one {what}")


if __name__ == "__main__":
    main()
