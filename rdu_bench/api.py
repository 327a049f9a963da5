"""Everything a model, probe or data-set file may import from here, and all it should need."""

from ._classes import are_whole, class_order, doubtful_names
from ._files import replacing
from ._files import write as write_file
from ._hash import digest, file_digest, named_seed
from .analytic import World
from .autoencoder import Autoencoder, deterministic_block, label_block
from .budget import Budget
from .data import (
    STAND_IN,
    About,
    Beside,
    Card,
    DataError,
    Dataset,
    Dequantised,
    Entropy,
    Examples,
    Factor,
    FactorGrid,
    GroundTruth,
    HDF5Source,
    IDXImages,
    NorbMatrix,
    NpzArray,
    Original,
    Redrawn,
    SequenceDraws,
    SequenceGrid,
    Sequences,
    Source,
    assign_splits,
    binarise,
    cache_of,
    check_counts,
    data_file,
    data_folder,
    dsprites_npz,
    images_among,
    in_order,
    lost_file,
    made_folders,
    made_sequences,
    pieces_of,
    population_entropy,
    read_idx,
    rechunked,
    regular,
    shapes3d_file,
    uniforms,
)
from .model import GROUP, Arrived, Batch, Block, Code, Message, Model, Row, Seen, Terms, flatten, total_rate, transmit
from .nn.critics import Adversary, Average, Critic, PairCritic, SymbolCritic
from .nn.densities import bernoulli, gaussian, one_hot, product, sphere, standard_normal
from .nn.divergences import (
    covariance,
    gaussian_kernel,
    gram,
    hsic,
    log_aggregates,
    mmd,
    mmd_between,
    multiquadric,
    permute_dims,
    total_correlation,
)
from .nn.frames import Each, Past
from .nn.gated import GatedDecoder, GatedGaussian
from .nn.labels import class_weights, enumerate_classes, labelled_cross_entropy
from .nn.masked import WindowedDecoder, made
from .nn.mixtures import Mixture, select_component
from .nn.networks import (
    MLP,
    Channel,
    Decoder,
    Gaussian,
    Observation,
    Spec,
    Trunk,
    UnitGaussian,
    Untrunk,
    concatenate,
    mlp,
)
from .nn.patches import PatchTrunk
from .nn.priors import Autoregression, AutoregressiveFlow, Unigram
from .nn.state_space import StateSpace
from .probe import Head, Probe, ProbeCard, Target
from .registry import dataset, missing_files

# fmt: off
__all__ = [
    "GROUP", "MLP", "STAND_IN", "About", "Adversary", "Arrived", "Autoencoder", "Autoregression",
    "AutoregressiveFlow", "Average", "Batch", "Beside", "Block", "Budget", "Card", "Channel", "Code", "Critic",
    "DataError", "Dataset", "Decoder", "Dequantised", "Each", "Entropy", "Examples", "Factor", "FactorGrid",
    "GatedDecoder", "GatedGaussian", "Gaussian", "GroundTruth", "HDF5Source", "Head", "IDXImages", "Message",
    "Mixture", "Model", "NorbMatrix", "NpzArray", "Observation", "Original", "PairCritic", "Past", "PatchTrunk",
    "Probe", "ProbeCard", "Redrawn", "Row", "Seen", "SequenceDraws", "SequenceGrid", "Sequences", "Source", "Spec",
    "StateSpace", "SymbolCritic", "Target", "Terms", "Trunk", "Unigram", "UnitGaussian", "Untrunk", "WindowedDecoder",
    "World",
    "are_whole", "assign_splits", "bernoulli", "binarise", "cache_of", "check_counts", "class_order", "class_weights",
    "concatenate", "covariance", "data_file", "data_folder", "dataset", "deterministic_block", "digest",
    "doubtful_names", "dsprites_npz", "enumerate_classes", "file_digest", "flatten", "gaussian", "gaussian_kernel",
    "gram", "hsic",
    "images_among", "in_order", "label_block", "labelled_cross_entropy", "log_aggregates", "lost_file", "made",
    "made_folders", "made_sequences", "missing_files", "mlp", "mmd", "mmd_between", "multiquadric", "named_seed",
    "one_hot", "permute_dims", "pieces_of",
    "population_entropy", "product", "read_idx", "rechunked", "regular", "replacing", "select_component",
    "shapes3d_file", "sphere", "standard_normal", "total_correlation", "total_rate", "transmit", "uniforms",
    "write_file",
]
