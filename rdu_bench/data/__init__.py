"""What a data set is, and how its examples are held and handed out."""

from .dataset import (
    DATA,
    Card,
    DataError,
    Dataset,
    Entropy,
    Factor,
    GroundTruth,
    assign_splits,
    binarise,
    check_counts,
    data_folder,
    population_entropy,
)
from .examples import Examples, View, batches

__all__ = [
    "DATA",
    "Card",
    "DataError",
    "Dataset",
    "Entropy",
    "Examples",
    "Factor",
    "GroundTruth",
    "View",
    "assign_splits",
    "batches",
    "binarise",
    "check_counts",
    "data_folder",
    "population_entropy",
]
