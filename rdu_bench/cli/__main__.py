"""`python -m rdu_bench.cli` is `rdu-bench`."""

from . import main

if __name__ == "__main__":
    main()
