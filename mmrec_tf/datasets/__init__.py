"""Data sets: the generated catalogue, public ones, and your own folder."""

from mmrec_tf.datasets.amazon import load_amazon_reviews
from mmrec_tf.datasets.catalog import CatalogTruth, load_catalog, load_catalog_truth
from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.ednet import load_ednet
from mmrec_tf.datasets.faults import Fault, FolderError, FolderWarning
from mmrec_tf.datasets.folder import check_folder, load_folder
from mmrec_tf.datasets.mind import load_mind, load_mind_impressions
from mmrec_tf.datasets.movielens import load_movielens_100k
from mmrec_tf.datasets.snap import load_snap_graph

__all__ = [
    "CatalogTruth",
    "Dataset",
    "Fault",
    "FolderError",
    "FolderWarning",
    "Modality",
    "check_folder",
    "load_amazon_reviews",
    "load_catalog",
    "load_catalog_truth",
    "load_ednet",
    "load_folder",
    "load_mind",
    "load_mind_impressions",
    "load_movielens_100k",
    "load_snap_graph",
]
