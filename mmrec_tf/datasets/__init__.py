"""Data sets: the generated catalogue, MovieLens-100K, and your own folder."""

from mmrec_tf.datasets.dataset import Dataset, Modality

__all__ = ["Dataset", "Modality"]
