"""Training at a rate: min D + w|σ − R| + what makes a model itself."""

from .control import Control
from .fitting import Trained, fit, fit_stack, mean_rate, train_at
from .learning import Learning
from .loop import Training

__all__ = ["Control", "Learning", "Trained", "Training", "fit", "fit_stack", "mean_rate", "train_at"]
