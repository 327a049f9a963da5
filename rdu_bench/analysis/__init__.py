"""Records in, tables out: frontiers, their differences with intervals, the leaderboard, scores.  Never a model."""

from rdu_bench.analysis.beside import Beside, beside
from rdu_bench.analysis.claims import claims
from rdu_bench.analysis.claims import to_markdown as claims_to_markdown
from rdu_bench.analysis.frontiers import frontier
from rdu_bench.analysis.leaderboard import across, leaderboard, to_markdown
from rdu_bench.analysis.points import by_factor, failures, impossible, left_out, left_out_text, points
from rdu_bench.analysis.scores import scores
from rdu_bench.analysis.sensitivity import comparisons, sensitivity
from rdu_bench.analysis.structure import structure
from rdu_bench.analysis.tables import to_csv
from rdu_bench.analysis.udr import udr

__all__ = [
    "Beside",
    "across",
    "beside",
    "by_factor",
    "claims",
    "claims_to_markdown",
    "comparisons",
    "failures",
    "frontier",
    "impossible",
    "leaderboard",
    "left_out",
    "left_out_text",
    "points",
    "scores",
    "sensitivity",
    "structure",
    "to_csv",
    "to_markdown",
    "udr",
]
