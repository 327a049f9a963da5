"""What a data set is, and how its examples are held and handed out."""

from .dataset import PARTS, About, Card, Dataset, Factor
from .dequantised import Dequantised
from .entropy import Entropy, population_entropy
from .error import DataError
from .examples import Examples, Source, View, batches
from .files import Beside, data_file, data_folder, made_folders
from .ground_truth import GroundTruth
from .hdf5 import HDF5Source
from .idx import read_idx
from .idx_images import IDXImages
from .splits import assign_splits, binarise, check_counts

__all__ = [
    "PARTS",
    "About",
    "Beside",
    "Card",
    "DataError",
    "Dataset",
    "Dequantised",
    "Entropy",
    "Examples",
    "Factor",
    "GroundTruth",
    "HDF5Source",
    "IDXImages",
    "Source",
    "View",
    "assign_splits",
    "batches",
    "binarise",
    "check_counts",
    "data_file",
    "data_folder",
    "made_folders",
    "population_entropy",
    "read_idx",
]
