"""Scores of codes: plain functions of arrays, usable without the rest of the suite.

Each is called as `score(z, factors, protocol="robust")` with z (n, d), one latent a column, and factors (n, K), one
column of classes a factor, whose values may be any, −1 too; labels y (n,) count from 0.  `protocol="dlib"` gives what
disentanglement_lib gives, with its bins, its classifiers and their defaults; `protocol="robust"` mends what is known to
go wrong there: outliers, factors of many values, chance.
Malformed input raises `ValueError`; input for which a score means nothing raises `Undefined`, a `ValueError` too.
"""

from ._inputs import Undefined
from .clustering import cluster, clustering
from .codelength import n_label_curve, prequential_codelength, surplus_description_length
from .dci import DCI, dci
from .decoding import explicitness, sap
from .groups import betavae_score, factorvae_score
from .information import entropies, mig, modularity, mutual_info_score, mutual_information
from .irs import irs
from .udr import udr
from .unsupervised import gaussian_total_correlation, gaussian_wasserstein_correlation

__all__ = [
    "DCI",
    "Undefined",
    "betavae_score",
    "cluster",
    "clustering",
    "dci",
    "entropies",
    "explicitness",
    "factorvae_score",
    "gaussian_total_correlation",
    "gaussian_wasserstein_correlation",
    "irs",
    "mig",
    "modularity",
    "mutual_info_score",
    "mutual_information",
    "n_label_curve",
    "prequential_codelength",
    "sap",
    "surplus_description_length",
    "udr",
]
