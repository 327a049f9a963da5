"""Are the files there that curves read?  Asked before anything is computed; nothing of them is read."""

from __future__ import annotations

from collections.abc import Iterable

from .. import registry
from .._hash import canonical
from .spec import Curve
from .suite import SuiteError


def without_files(curves: Iterable[Curve]) -> dict[str, str]:
    """Label of each data set of `curves` whose files are not on this machine -> what it lacks, in a sentence.

    Data sets whose card names no files are not asked, so that no plug-in is imported for them.  Raises `DataError`
    for a parameter that a data set refuses.
    """
    asked: dict[str, str] = {}
    lost: dict[str, str] = {}
    for curve in curves:
        same = canonical([curve.dataset, curve.dataset_params])
        if same not in asked:
            needs = registry.card("datasets", curve.dataset).get("files", "")
            asked[same] = registry.missing_files(curve.dataset, **curve.dataset_params) if needs else ""
        if asked[same]:
            lost[curve.data_label] = asked[same].replace("\n", " ")
    return lost


def at_hand(curves: list[Curve], wanted: Iterable[Curve]) -> tuple[list[Curve], list[str]]:
    """The curves without those of data sets that `wanted` ones lack the files of, and a sentence for each of these.

    Raises `SuiteError` with the sentences where no wanted curve is left.
    """
    wanted = list(wanted)
    lost = without_files(wanted)
    if wanted and all(curve.data_label in lost for curve in wanted):
        raise SuiteError(" ".join(lost.values()))
    gone = {curve.data_label for curve in wanted} & lost.keys()
    sentences = [f"{label}: {sentence}" for label, sentence in lost.items()]
    return [curve for curve in curves if curve.data_label not in gone], sentences
