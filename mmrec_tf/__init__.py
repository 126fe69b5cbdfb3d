"""Multimodal recommendation in Keras 3, as the book's chapters use it."""

from mmrec_tf.similarity import cosine_similarity

__all__ = ["cosine_similarity"]
__version__ = "0.1.0"
