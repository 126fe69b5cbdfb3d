"""Data sets: the generated catalogue, MovieLens-100K, and your own folder."""

from mmrec_tf.datasets.catalog import CatalogTruth, load_catalog, load_catalog_truth
from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.faults import Fault, FolderError, FolderWarning
from mmrec_tf.datasets.folder import check_folder, load_folder
from mmrec_tf.datasets.movielens import load_movielens_100k

__all__ = [
    "CatalogTruth",
    "Dataset",
    "Fault",
    "FolderError",
    "FolderWarning",
    "Modality",
    "check_folder",
    "load_catalog",
    "load_catalog_truth",
    "load_folder",
    "load_movielens_100k",
]
