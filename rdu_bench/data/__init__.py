"""What a data set is, and how its examples are held and handed out."""

from .converted import Original, converted
from .dataset import PARTS, About, Card, Dataset, Factor
from .dequantised import Dequantised, uniforms
from .dlib_formats import STAND_IN, dsprites_npz, shapes3d_file
from .entropy import Entropy, images_among, population_entropy
from .error import DataError
from .examples import Examples, Source, View, at_once, batches
from .factor_grid import FactorGrid, Redrawn
from .files import Beside, data_file, data_folder, lost_file, made_folders, regular
from .ground_truth import GroundTruth
from .hdf5 import HDF5Source, cache_of, in_order, pieces_of
from .idx import read_idx
from .idx_images import IDXImages
from .norb_matrix import NorbMatrix
from .npz import NpzArray
from .rechunked import rechunked
from .sequences import SequenceDraws, SequenceGrid, Sequences, made_sequences
from .splits import assign_splits, binarise, check_counts

__all__ = [
    "PARTS",
    "STAND_IN",
    "About",
    "Beside",
    "Card",
    "DataError",
    "Dataset",
    "Dequantised",
    "Entropy",
    "Examples",
    "Factor",
    "FactorGrid",
    "GroundTruth",
    "HDF5Source",
    "IDXImages",
    "NorbMatrix",
    "NpzArray",
    "Original",
    "Redrawn",
    "SequenceDraws",
    "SequenceGrid",
    "Sequences",
    "Source",
    "View",
    "assign_splits",
    "at_once",
    "batches",
    "binarise",
    "cache_of",
    "check_counts",
    "converted",
    "data_file",
    "data_folder",
    "dsprites_npz",
    "images_among",
    "in_order",
    "lost_file",
    "made_folders",
    "made_sequences",
    "pieces_of",
    "population_entropy",
    "read_idx",
    "rechunked",
    "regular",
    "shapes3d_file",
    "uniforms",
]
