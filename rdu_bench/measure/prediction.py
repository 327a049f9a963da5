"""D of the frames to come given the code of those before: what a predictor is for.

The past x_p, its code z and the future x_f are a Markov chain, x_f – x_p – z, so that R* ≥ I(x_p; z) ≥ I(x_f; z), and
with D_pred ≥ H(x_f | z) the sum D_pred + R* is never below H(x_f).
"""

from __future__ import annotations

from typing import Any

import torch

from .decoded import Decoded, best_of, null
from .distortion import tuned
from .found import Found, averaged
from .study import Study


def prediction(study: Study) -> Found:
    """D_pred, the better on validation of the model's own decoder and of the same one trained on, and D_pred_null.

    D_pred_null is of the best constant for those frames.  Nats a sequence; nothing for a model that predicts nothing.
    """
    frames = study.model.predicts
    if not frames:
        return Found()
    nothing = null(study, frames)
    candidates, nulls = {"null": nothing}, {}
    for name, decoded in (("own", _own), ("tuned", tuned)):
        try:
            with study.drawing:
                one = decoded(study)
        except Exception as error:
            nulls[f"D_pred.{name}"] = f"{type(error).__name__}: {error}"
            continue
        if one.trouble:
            nulls[f"D_pred.{name}"] = one.trouble
        else:
            candidates[name] = one
    best = best_of(candidates)
    values: dict[str, Any] = {
        **averaged("D_pred", candidates[best].test),
        **averaged("D_pred_null", nothing.test),
        "D_pred_source": best,
        "H_pred": study.data.entropy_of_last(frames),
    }
    if values["H_pred"] is None:
        nulls["H_pred"] = f"H of the last {frames} frames is not known"
    return Found(values, nulls=nulls)


@torch.no_grad()
def _own(study: Study) -> Decoded:
    """The model's own decoder, on the draws that all else is measured on."""
    _, val, test = study.codes
    if val.distortion is None or test.distortion is None:
        raise ValueError(val.undecoded or test.undecoded)
    return Decoded(val.distortion, test.distortion)
