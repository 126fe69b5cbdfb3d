"""Turn clips into vectors."""

import keras
from keras import ops

__all__ = ["VideoEncoder"]


@keras.saving.register_keras_serializable("mmrec_tf")
class VideoEncoder(keras.layers.Layer):
    """Encode clips by encoding every frame as a picture, and pooling over time.

    From each frame but the first come its vector and the difference to the vector of the frame
    before, which is what moved. Without the difference, an average over time could not tell a
    clip from the same frames in another order.

    Args:
        frame_encoder: layer that turns pictures, shape `(n, height, width, channels)`, into
            vectors, shape `(n, dim)`, such as `VGGEncoder(filters=(8, 16, 32))`.
        dim: length of the vectors.
        pooling: `"mean"` maps every frame by a dense layer and averages: it sees what
            frames show and how they change, not in which order. `"gru"` runs a gated recurrent
            unit over the frames.

    Call arguments:
        clips: integer tensor of shape `(batch, frames, height, width, channels)`, at least 2
            frames, values as `frame_encoder` takes them.
        training: bool, for `frame_encoder`.

    Returns:
        Tensor of shape `(batch, dim)`.

    Raises:
        ValueError: if the clips are of another rank or of less than two frames, or if there is no
            such pooling; and as `frame_encoder` does.

    Example:

    >>> import numpy as np
    >>> from mmrec_tf.encoders.image import VGGEncoder
    >>> clips = np.zeros((2, 8, 32, 32, 3), "uint8")
    >>> VideoEncoder(VGGEncoder(filters=(8, 16, 32)))(clips).shape
    TensorShape([2, 64])

    References:
        K. Simonyan, A. Zisserman: Two-stream convolutional networks for action recognition in
        videos. 2014, arXiv:1406.2199
    """

    def __init__(self, frame_encoder, dim=64, pooling="mean", **kwargs):
        super().__init__(**kwargs)
        if pooling not in ("mean", "gru"):
            raise ValueError(f"Expected `pooling` to be 'mean' or 'gru'. Received: {pooling!r}.")
        if dim < 1:
            raise ValueError(f"Expected `dim` of at least 1. Received: {dim}.")
        self.frame_encoder, self.dim, self.pooling = frame_encoder, dim, pooling

    def build(self, clips_shape):
        if len(clips_shape) != 5 or None in clips_shape[1:] or clips_shape[1] < 2:
            raise ValueError(
                "Expected clips of shape (batch, frames, height, width, channels), at least 2 "
                f"frames. Received: shape {tuple(clips_shape)}."
            )
        if not self.frame_encoder.built:
            self.frame_encoder.build((None, *clips_shape[2:]))
        _, length = self.frame_encoder.compute_output_shape((None, *clips_shape[2:]))
        dtype = self.dtype_policy
        if self.pooling == "mean":
            over_time = [
                keras.layers.Dense(self.dim, activation="relu", dtype=dtype),
                keras.layers.GlobalAveragePooling1D(dtype=dtype),
            ]
        else:
            over_time = [keras.layers.GRU(self.dim, dtype=dtype)]
        self.over_time = keras.Sequential([*over_time, keras.layers.Dense(self.dim, dtype=dtype)])
        self.over_time.build((None, clips_shape[1] - 1, 2 * length))

    def call(self, clips, training=False):
        _, frames, *shape = clips.shape
        vectors = self.frame_encoder(ops.reshape(clips, (-1, *shape)), training=training)
        vectors = ops.reshape(vectors, (-1, frames, vectors.shape[-1]))
        before, after = vectors[:, :-1], vectors[:, 1:]
        return self.over_time(ops.concatenate([after, after - before], axis=-1))

    def compute_output_shape(self, clips_shape):
        return (clips_shape[0], self.dim)

    def get_config(self):
        return {
            **super().get_config(),
            "frame_encoder": keras.saving.serialize_keras_object(self.frame_encoder),
            "dim": self.dim,
            "pooling": self.pooling,
        }

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["frame_encoder"])
        return cls(**{**config, "frame_encoder": encoder})
