"""What the parameters of `hdf5` may be, whatever the file."""

import math
from collections.abc import Mapping
from typing import Any

from rdu_bench.api import DataError, check_counts

from ._hdf5_layout import PARTS


def check(params: Mapping[str, Any]) -> None:
    """Raises `DataError` for a parameter that cannot be, whatever the file."""

    def refuse(name: str, must: str) -> None:
        raise DataError(f"hdf5: {name} is {params[name]!r}; it must be {must}.")

    def texts(value: Any) -> bool:
        return isinstance(value, Mapping) and all(isinstance(t, str) and t for pair in value.items() for t in pair)

    if not isinstance(params.get("file"), str) or not params["file"] or "\0" in params["file"]:
        raise DataError("hdf5: name a file, as in params = { file = 'usps.h5' } or --dataset hdf5:usps.h5.")
    for name in ("x", "sensitive", "seed", "content", "data_dir"):
        if params.get(name) is not None and not isinstance(params[name], str):
            refuse(name, "a text")
    if params.get("x") == "":
        refuse("x", "the name of a data set in the file")
    if params.get("factors") is not None and not texts(params["factors"]):
        refuse("factors", "a table of names and keys, such as { digit = 'labels' }")
    task = params.get("task")
    if task is not None and (isinstance(task, str) or not all(isinstance(name, str) for name in task)):
        refuse("task", "a list of factors, such as ['digit']")
    splits = params.get("splits")
    if (
        splits is not None
        and not (isinstance(splits, str) and splits)
        and not (texts(splits) and {*splits} <= {*PARTS})
    ):
        refuse("splits", "the key of a data set, or a table of train, val and test")
    if isinstance(splits, Mapping) and not {"train", "test"} <= {*splits}:
        refuse("splits", "a table with train and test at least")
    for name, known in (("likelihood", ("auto", "bernoulli", "gaussian")), ("channels", ("auto", "first", "last"))):
        if params.get(name, "auto") not in known:
            refuse(name, " or ".join(known))
    for name in ("noise", "scale"):
        value = params.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
        if value is not None and not number:
            refuse(name, "a positive number")
    if params.get("limit") is not None:
        check_counts("hdf5", limit=params["limit"])
