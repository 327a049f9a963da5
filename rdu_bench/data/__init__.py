"""What a data set is, and how its examples are held and handed out."""

from .dataset import (
    DATA,
    Card,
    DataError,
    Dataset,
    Entropy,
    Factor,
    GroundTruth,
    Split,
    assign_splits,
    batches,
    binarise,
    check_counts,
    data_folder,
    population_entropy,
)

__all__ = [
    "DATA",
    "Card",
    "DataError",
    "Dataset",
    "Entropy",
    "Factor",
    "GroundTruth",
    "Split",
    "assign_splits",
    "batches",
    "binarise",
    "check_counts",
    "data_folder",
    "population_entropy",
]
