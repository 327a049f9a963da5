"""Models of other libraries, as those write them, on the board: each adapter needs its library, and nothing else does.

`pythae.py` and `pixyz.py` import `rdu_bench.api` alone of this package.
"""
