"""`python -m rdu_bench` is `rdu-bench`."""

from .cli import main

if __name__ == "__main__":
    main()
