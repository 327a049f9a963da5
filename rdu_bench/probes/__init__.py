"""The files of probes/ at the top of the repository and of the user's plug-in folders, under one importable name."""

from rdu_bench._paths import search_path

__path__ = search_path("probes")
