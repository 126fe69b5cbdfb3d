"""Multimodal recommendation in Keras 3, as the book's chapters use it."""

from mmrec_tf.datasets import Dataset, Modality, load_movielens_100k
from mmrec_tf.similarity import cosine_similarity
from mmrec_tf.splits import (
    Split,
    check_no_leakage,
    global_temporal_split,
    item_cold_start_split,
    kfold_split,
    leave_last_out_split,
    per_user_temporal_split,
    user_cold_start_split,
)

__all__ = [
    "Dataset",
    "Modality",
    "Split",
    "check_no_leakage",
    "cosine_similarity",
    "global_temporal_split",
    "item_cold_start_split",
    "kfold_split",
    "leave_last_out_split",
    "load_movielens_100k",
    "per_user_temporal_split",
    "user_cold_start_split",
]
__version__ = "0.1.0"
