"""Turn pictures into vectors.

Every encoder here takes what `Dataset.modalities["image"]` gives, integers from 0 to 255, and
rescales inside. So it refuses floats: they would be pixels that somebody has rescaled already.
"""

import sys
import types
from pathlib import Path

import keras
from keras import ops

__all__ = ["BackboneEncoder", "ResNetEncoder", "VGGEncoder"]


class _ImageEncoder(keras.layers.Layer):
    """What the encoders share that learn from nothing: a body of layers on scaled pixels."""

    def __init__(self, dim, filters, **kwargs):
        super().__init__(**kwargs)
        self.dim, self.filters = dim, tuple(filters)
        if dim < 1 or not self.filters or min(self.filters) < 1:
            raise ValueError(
                "Expected `dim` and one or more `filters`, all at least 1. "
                f"Received: dim={dim}, filters={filters}."
            )

    def build(self, images_shape):
        _check_shape(images_shape, smallest=2 ** len(self.filters))
        self.body = keras.Sequential(self._body())
        self.body.build((None, *images_shape[1:]))

    def call(self, images, training=False):
        _check_dtype(images)
        # From -1 to 1: centred inputs train faster.
        return self.body(ops.cast(images, self.compute_dtype) / 127.5 - 1.0, training=training)

    def compute_output_shape(self, images_shape):
        return (images_shape[0], self.dim)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim, "filters": self.filters}


@keras.saving.register_keras_serializable("mmrec_tf")
class VGGEncoder(_ImageEncoder):
    """Encode pictures by blocks of two 3×3 convolutions, each block halving the picture.

    Two 3×3 convolutions see as far as one of 5×5, with fewer weights and one non-linearity
    more. Two things differ from the paper, where training took weeks: every convolution is
    followed by batch normalisation, and the last block is averaged over all places instead of
    flattened, so that the vector hardly depends on where in the picture a thing is.

    Args:
        dim: length of the vectors.
        filters: number of filters of each block.

    Call arguments:
        images: integer tensor of shape `(batch, height, width, channels)`, values 0 to 255.
            While training, leave out items without a picture: the batch is normalised as a whole.
        training: bool; True normalises by the batch, False by what training has seen.

    Returns:
        Tensor of shape `(batch, dim)`.

    Raises:
        ValueError: if the images are of another rank, not of integers, or so small that a block
            has nothing left to halve.

    Example:

    >>> import numpy as np
    >>> images = np.zeros((2, 64, 64, 3), "uint8")
    >>> VGGEncoder(dim=32)(images).shape
    TensorShape([2, 32])

    References:
        K. Simonyan, A. Zisserman: Very deep convolutional networks for large-scale image
        recognition. 2014, arXiv:1409.1556

        S. Ioffe, C. Szegedy: Batch normalization: accelerating deep network training by reducing
        internal covariate shift. 2015, arXiv:1502.03167
    """

    def __init__(self, dim=64, filters=(8, 16, 32, 64), **kwargs):
        super().__init__(dim, filters, **kwargs)

    def _body(self):
        dtype = self.dtype_policy
        for filters in self.filters:
            for _ in range(2):
                yield from _convolution(filters, dtype)
                yield keras.layers.ReLU(dtype=dtype)
            yield keras.layers.MaxPooling2D(dtype=dtype)
        yield keras.layers.GlobalAveragePooling2D(dtype=dtype)
        yield keras.layers.Dense(self.dim, dtype=dtype)


@keras.saving.register_keras_serializable("mmrec_tf")
class ResNetEncoder(_ImageEncoder):
    """Encode pictures by residual blocks, each of which adds something to its own input.

    A block that has nothing to add is the identity, so that depth does not hurt, and the
    gradient reaches the first layer undiminished.

    Args:
        dim: length of the vectors.
        filters: number of filters of each block. A first convolution, and each block but the
            first, halve the picture.

    Call arguments:
        images: integer tensor of shape `(batch, height, width, channels)`, values 0 to 255.
            While training, leave out items without a picture: the batch is normalised as a whole.
        training: bool; True normalises by the batch, False by what training has seen.

    Returns:
        Tensor of shape `(batch, dim)`.

    Raises:
        ValueError: if the images are of another rank, not of integers, or so small that a block
            has nothing left to halve.

    Example:

    >>> import numpy as np
    >>> images = np.zeros((2, 64, 64, 3), "uint8")
    >>> ResNetEncoder(dim=32)(images).shape
    TensorShape([2, 32])

    References:
        K. He, X. Zhang, S. Ren, J. Sun: Deep residual learning for image recognition. 2015,
        arXiv:1512.03385
    """

    def __init__(self, dim=64, filters=(16, 32, 64, 128), **kwargs):
        super().__init__(dim, filters, **kwargs)

    def _body(self):
        dtype = self.dtype_policy
        yield from _convolution(self.filters[0], dtype, strides=2)
        yield keras.layers.ReLU(dtype=dtype)
        for number, filters in enumerate(self.filters):
            yield ResidualBlock(filters, strides=1 if number == 0 else 2, dtype=dtype)
        yield keras.layers.GlobalAveragePooling2D(dtype=dtype)
        yield keras.layers.Dense(self.dim, dtype=dtype)


@keras.saving.register_keras_serializable("mmrec_tf")
class ResidualBlock(keras.layers.Layer):
    """Add to a map what two 3×3 convolutions make of it.

    Where the shapes differ, the map itself is averaged and goes through a 1×1 convolution first.
    The paper takes every second pixel instead; the average loses less.

    Args:
        filters: number of filters.
        strides: 2 halves the map, 1 does not.

    Call arguments:
        maps: tensor of shape `(batch, height, width, channels)`.
        training: bool; see `ResNetEncoder`.

    Returns:
        Tensor of shape `(batch, height / strides, width / strides, filters)`, rounded up.

    References:
        T. He et al.: Bag of tricks for image classification with convolutional neural networks.
        2018, arXiv:1812.01187
    """

    def __init__(self, filters, strides=1, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.strides = filters, strides

    def build(self, maps_shape):
        dtype = self.dtype_policy
        self.branch = keras.Sequential(
            [
                *_convolution(self.filters, dtype, strides=self.strides),
                keras.layers.ReLU(dtype=dtype),
                *_convolution(self.filters, dtype),
            ]
        )
        shortcut = [keras.layers.Identity(dtype=dtype)]
        if self.strides != 1 or maps_shape[-1] != self.filters:
            # Not a 1×1 convolution with strides of 2: its gradient, of 8 to 16 channels at 64×64,
            # ends Python with a segmentation fault in TensorFlow 2.21 on some processors.
            shortcut = [
                keras.layers.AveragePooling2D(self.strides, padding="same", dtype=dtype),
                *_convolution(self.filters, dtype, size=1),
            ]
        self.shortcut = keras.Sequential(shortcut)
        for path in (self.branch, self.shortcut):
            path.build((None, *maps_shape[1:]))

    def call(self, maps, training=False):
        kept = self.shortcut(maps, training=training)
        return ops.relu(kept + self.branch(maps, training=training))

    def compute_output_shape(self, maps_shape):
        batch, height, width, _ = maps_shape
        return (batch, -(-height // self.strides), -(-width // self.strides), self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}


@keras.saving.register_keras_serializable("mmrec_tf")
class BackboneEncoder(keras.layers.Layer):
    """Encode pictures by a large network that others have trained, without its last layer.

    What distinguishes a thousand kinds of objects in millions of photographs serves other
    pictures too. The network computes in the precision that is set globally.

    Args:
        backbone: name of a model in `keras.applications`, such as `"MobileNetV2"`.
        weights: path of a file with the weights of this model without its top. Where there is a
            network, `keras.applications.MobileNetV2(include_top=False).save_weights(path)` gets
            them; the path must end in `.weights.h5`. None starts from random weights.
        trainable: False freezes the network: fast, and what few pictures cannot spoil.

    Call arguments:
        images: integer tensor of shape `(batch, height, width, 3)`, values 0 to 255. They are
            scaled as the backbone's own `preprocess_input` does.
        training: bool; see `ResNetEncoder`. A frozen network ignores it.

    Returns:
        Tensor of shape `(batch, dim)`, the average over all places of the last feature map.
        `dim` depends on the backbone: 1280 for MobileNetV2.

    Raises:
        FileNotFoundError: if there is no file `weights`.
        ValueError: if there is no such backbone, or the images are of another rank, not of
            integers, or smaller than 32×32.

    Example:

    >>> import numpy as np
    >>> images = np.zeros((2, 64, 64, 3), "uint8")
    >>> BackboneEncoder("MobileNetV2")(images).shape
    TensorShape([2, 1280])
    """

    def __init__(self, backbone, weights=None, trainable=False, **kwargs):
        super().__init__(trainable=trainable, **kwargs)
        self._create = getattr(keras.applications, backbone, None)
        if not isinstance(self._create, types.FunctionType):
            names = [n for n, f in vars(keras.applications).items() if callable(f)]
            raise ValueError(f"Expected `backbone` among {sorted(names)}. Received: {backbone!r}.")
        if weights is not None and not Path(weights).is_file():
            raise FileNotFoundError(
                "Expected `weights` to be a file, so that nothing is downloaded unasked. "
                f"Received: {str(weights)!r}."
            )
        self.backbone, self.weights_file = backbone, weights

    def build(self, images_shape):
        _check_shape(images_shape, smallest=32)
        self.network = self._create(
            include_top=False, weights=None, input_shape=images_shape[1:], pooling="avg"
        )
        if self.weights_file is not None:
            self.network.load_weights(self.weights_file)
        self.network.trainable = self.trainable

    def call(self, images, training=False):
        _check_dtype(images)
        module = sys.modules[self._create.__module__]
        pixels = module.preprocess_input(ops.cast(images, "float32"))
        vectors = self.network(pixels, training=training and self.trainable)
        return ops.cast(vectors, self.compute_dtype)

    def compute_output_shape(self, images_shape):
        return (images_shape[0], self.network.output_shape[-1])

    def get_config(self):
        # A saved model holds its weights; it must load where the file is not.
        return {**super().get_config(), "backbone": self.backbone, "weights": None}


def _convolution(filters, dtype, *, size=3, strides=1):
    """Return a convolution and its normalisation, whose offset makes a bias superfluous."""
    yield keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        dtype=dtype,
    )
    # Remembers about ten batches rather than a hundred: trainings here last a few hundred.
    yield keras.layers.BatchNormalization(momentum=0.9, dtype=dtype)


def _check_shape(shape, smallest):
    if len(shape) != 4 or None in shape[1:] or min(shape[1:3]) < smallest:
        raise ValueError(
            "Expected images of shape (batch, height, width, channels), at least "
            f"{smallest}×{smallest} pixels. Received: shape {tuple(shape)}."
        )


def _check_dtype(images):
    dtype = keras.backend.standardize_dtype(images.dtype)
    if "int" not in dtype:
        raise ValueError(
            f"Expected images as integers from 0 to 255, which the encoder rescales itself. "
            f"Received: {dtype}. Pass uint8, to `keras.Input` as `dtype` too."
        )
