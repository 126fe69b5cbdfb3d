"""Data sets: the generated catalogue, MovieLens-100K, and your own folder."""

from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.movielens import load_movielens_100k

__all__ = ["Dataset", "Modality", "load_movielens_100k"]
