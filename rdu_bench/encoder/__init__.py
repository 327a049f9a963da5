"""A trained encoder as a scikit-learn transformer."""

from .estimator import Encoder

__all__ = ["Encoder"]
