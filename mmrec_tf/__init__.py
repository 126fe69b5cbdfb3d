"""Multimodal recommendation in Keras 3, as the book's chapters use it."""

from mmrec_tf.datasets import Dataset, Modality
from mmrec_tf.similarity import cosine_similarity

__all__ = ["Dataset", "Modality", "cosine_similarity"]
__version__ = "0.1.0"
