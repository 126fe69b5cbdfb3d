"""Turn sounds into vectors.

Every encoder here takes what `Dataset.modalities["audio"]` gives, int16 samples, and computes a
spectrogram of them inside. So it refuses floats: they would be samples that somebody has rescaled
already.
"""

import keras
import numpy as np
from keras import ops

__all__ = ["ConvolutionalAudioEncoder", "LogMelSpectrogram", "RecurrentAudioEncoder", "mel_filters"]

# Chosen for notes at 16 kHz: a frame of 64 ms holds 14 periods of an A of 220 Hz and tells it from
# its neighbour, one semitone and 13 Hz away; hops of 32 ms separate the notes of a fast tune.
FRAME, HOP = 1024, 512  # samples
BANDS = 128
LOWEST = 60.0  # Hz: hum and rumble lie below.
# What counts as silence: a full-scale sine has a power of about (FRAME / 4)² in its band, and one
# step of 16 bits is 90 dB below it.
FLOOR = 1e-5


@keras.saving.register_keras_serializable("mmrec_tf")
class LogMelSpectrogram(keras.layers.Layer):
    r"""Show how much of each pitch sounds when: the logarithm of power in mel bands.

    .. math:: X_{tb} = \ln \max\Bigl(\epsilon, \sum_k W_{kb} \Bigl|\sum_{n=0}^{N-1} h_n \,
              x_{tH + n} \, e^{-2 \pi i k n / N}\Bigr|^2\Bigr)

    with the samples :math:`x` scaled to [-1, 1), frames of :math:`N` samples that begin every
    :math:`H` samples, Hann's window :math:`h`, the mel bands :math:`W` of `mel_filters`, and a
    floor :math:`\epsilon` of 1e-5, below which all is silence. Only whole frames count: nothing is
    padded, and up to :math:`H - 1` samples at the end are in none.

    It is computed in float32 whatever the precision, because the square of a loud sound's
    spectrum exceeds the range of float16; the result is in the layer's precision.

    Args:
        rate: samples a second.
        frame: samples a frame, :math:`N`.
        hop: samples from the start of one frame to that of the next, :math:`H`.
        bands: number of mel bands.

    Call arguments:
        sounds: integer tensor of shape `(batch, samples)`, values of int16.

    Returns:
        Tensor of shape `(batch, 1 + (samples - frame) // hop, bands)`.

    Raises:
        ValueError: if the sounds are of another rank, not of integers, or shorter than a frame,
            or if the bands are too many for the frame.

    Example:

    >>> second = np.arange(16_000) / 16_000
    >>> a440 = (10_000 * np.sin(2 * np.pi * 440 * second)).astype("int16")
    >>> spectrogram = LogMelSpectrogram()(a440[None])
    >>> spectrogram.shape
    TensorShape([1, 30, 128])
    >>> loudest = int(np.argmax(spectrogram[0, 0]))
    >>> frequencies = np.arange(513) * 16_000 / 1024
    >>> float(frequencies[np.argmax(mel_filters()[:, loudest])])
    437.5

    References:
        S. S. Stevens, J. Volkmann, E. B. Newman: A scale for the measurement of the psychological
        magnitude pitch. Journal of the Acoustical Society of America 8(3), 1937,
        https://doi.org/10.1121/1.1915893
    """

    def __init__(self, rate=16_000, frame=FRAME, hop=HOP, bands=BANDS, **kwargs):
        super().__init__(**kwargs)
        if hop < 1:
            raise ValueError(f"Expected `hop` of at least 1. Received: {hop}.")
        self.rate, self.frame, self.hop, self.bands = rate, frame, hop, bands
        self.filters = mel_filters(rate, frame, bands)

    def build(self, sounds_shape):
        if len(sounds_shape) != 2 or sounds_shape[1] is None or sounds_shape[1] < self.frame:
            raise ValueError(
                f"Expected sounds of shape (batch, samples), at least {self.frame} samples. "
                f"Received: shape {tuple(sounds_shape)}."
            )

    def call(self, sounds):
        dtype = keras.backend.standardize_dtype(sounds.dtype)
        if "int" not in dtype:
            raise ValueError(
                "Expected sounds as integers from -32768 to 32767, which the encoder rescales "
                f"itself. Received: {dtype}. Pass int16, to `keras.Input` as `dtype` too."
            )
        waves = ops.cast(sounds, "float32") / 32768.0
        real, imaginary = ops.stft(waves, self.frame, self.hop, self.frame, center=False)
        power = ops.matmul(ops.square(real) + ops.square(imaginary), self.filters)
        return ops.cast(ops.log(ops.maximum(power, FLOOR)), self.compute_dtype)

    def compute_output_shape(self, sounds_shape):
        batch, samples = sounds_shape
        return (batch, 1 + (samples - self.frame) // self.hop, self.bands)

    def get_config(self):
        sizes = {"rate": self.rate, "frame": self.frame, "hop": self.hop, "bands": self.bands}
        return {**super().get_config(), **sizes}


def mel_filters(rate=16_000, frame=FRAME, bands=BANDS):
    """Return how much of each frequency of a spectrum each mel band takes.

    Bands are triangles, equally wide in mel, a scale on which steps sound equally large:
    mel = 2595 log10(1 + Hz / 700). Each reaches from the middle of the one below to the middle of
    the one above; the first begins at 60 Hz, the last ends at half the rate. A band
    narrower than the spectrum's resolution may take nothing, which is an error.

    Args:
        rate: samples a second.
        frame: samples a frame, so that the frequencies are 0, rate / frame, …, rate / 2.
        bands: number of bands.

    Returns:
        float32 array of shape `(frame // 2 + 1, bands)`, values in [0, 1].

    Raises:
        ValueError: if a band takes no frequency at all.
    """
    frequencies = np.arange(frame // 2 + 1) * (rate / frame)
    lowest, highest = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (LOWEST, rate / 2))
    edges = 700.0 * (10.0 ** (np.linspace(lowest, highest, bands + 2) / 2595.0) - 1.0)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rise = (frequencies[:, None] - low) / (middle - low)
    fall = (high - frequencies[:, None]) / (high - middle)
    filters = np.maximum(0.0, np.minimum(rise, fall)).astype("float32")
    empty = np.flatnonzero(filters.sum(axis=0) == 0)
    if empty.size:
        raise ValueError(
            f"Expected fewer `bands` or a longer `frame`. Received: {bands} bands and "
            f"{frame} samples, so that band {empty[0]} holds no frequency."
        )
    return filters


class _AudioEncoder(keras.layers.Layer):
    """What the encoders share: a body of layers on a spectrogram of mean 0 and variance 1."""

    def __init__(self, dim, rate, **kwargs):
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"Expected `dim` of at least 1. Received: {dim}.")
        self.dim, self.rate = dim, rate
        self.spectrogram = LogMelSpectrogram(rate, dtype="float32")

    def build(self, sounds_shape):
        self.spectrogram.build(sounds_shape)
        _, frames, bands = self.spectrogram.compute_output_shape(sounds_shape)
        self.body = keras.Sequential(self._body(frames, bands))
        self.body.build((None, frames, bands))

    def call(self, sounds, training=False):
        logs = self.spectrogram(sounds)
        # Over the whole clip, so that loudness plays no part, but its rise and fall within do.
        mean, variance = ops.moments(logs, axes=(1, 2), keepdims=True)
        # The 1 keeps silence, whose variance is 0, from being blown up.
        standard = (logs - mean) * ops.rsqrt(variance + 1.0)
        return self.body(ops.cast(standard, self.compute_dtype), training=training)

    def compute_output_shape(self, sounds_shape):
        return (sounds_shape[0], self.dim)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim, "rate": self.rate}


@keras.saving.register_keras_serializable("mmrec_tf")
class RecurrentAudioEncoder(_AudioEncoder):
    """Encode sounds by a recurrent network that hears a spectrogram frame by frame.

    The vector is what the network remembers after the last frame, mapped by a dense layer. Gates
    let it remember: two in a gated recurrent unit (GRU), three and a second memory in a long
    short-term memory (LSTM).

    Args:
        dim: length of the vectors.
        cell: `"gru"` or `"lstm"`.
        units: length of the memory.
        rate: samples a second.

    Call arguments:
        sounds: integer tensor of shape `(batch, samples)`, values of int16.

    Returns:
        Tensor of shape `(batch, dim)`.

    Raises:
        ValueError: as `LogMelSpectrogram` does, or if there is no such cell.

    Example:

    >>> sounds = np.zeros((2, 16_000), "int16")
    >>> RecurrentAudioEncoder(dim=32)(sounds).shape
    TensorShape([2, 32])

    References:
        K. Cho et al.: Learning phrase representations using RNN encoder-decoder for statistical
        machine translation. 2014, arXiv:1406.1078

        S. Hochreiter, J. Schmidhuber: Long short-term memory. Neural Computation 9(8), 1997,
        https://doi.org/10.1162/neco.1997.9.8.1735
    """

    def __init__(self, dim=64, cell="gru", units=64, rate=16_000, **kwargs):
        super().__init__(dim, rate, **kwargs)
        if cell not in ("gru", "lstm"):
            raise ValueError(f"Expected `cell` to be 'gru' or 'lstm'. Received: {cell!r}.")
        self.cell, self.units = cell, units

    def _body(self, frames, bands):
        recurrent = keras.layers.GRU if self.cell == "gru" else keras.layers.LSTM
        yield recurrent(self.units, dtype=self.dtype_policy)
        yield keras.layers.Dense(self.dim, dtype=self.dtype_policy)

    def get_config(self):
        return {**super().get_config(), "cell": self.cell, "units": self.units}


@keras.saving.register_keras_serializable("mmrec_tf")
class ConvolutionalAudioEncoder(_AudioEncoder):
    """Encode sounds by convolutions over a spectrogram, as if it were a picture.

    It is not quite one: a thing means the same everywhere in a picture, and a note at any time,
    but not at any pitch. So the last map is averaged over time alone, and each pitch keeps its
    place.

    Args:
        dim: length of the vectors.
        filters: number of filters of each block: a 3×3 convolution and a max-pool, which halves
            the number of frames and of bands.
        rate: samples a second.

    Call arguments:
        sounds: integer tensor of shape `(batch, samples)`, values of int16. While training,
            leave out items without a sound: the batch is normalised as a whole.
        training: bool; True normalises by the batch, False by what training has seen.

    Returns:
        Tensor of shape `(batch, dim)`.

    Raises:
        ValueError: as `LogMelSpectrogram` does, or if the sounds are so short that a block has
            nothing left to halve.

    Example:

    >>> sounds = np.zeros((2, 16_000), "int16")
    >>> ConvolutionalAudioEncoder(dim=32)(sounds).shape
    TensorShape([2, 32])

    References:
        S. Hershey et al.: CNN architectures for large-scale audio classification. 2016,
        arXiv:1609.09430
    """

    def __init__(self, dim=64, filters=(8, 16, 32), rate=16_000, **kwargs):
        super().__init__(dim, rate, **kwargs)
        self.filters = tuple(filters)
        if not self.filters or min(self.filters) < 1:
            raise ValueError(f"Expected one or more `filters` ≥ 1. Received: {filters}.")

    def _body(self, frames, bands):
        halved = 2 ** len(self.filters)
        if min(frames, bands) < halved:
            raise ValueError(
                f"Expected sounds of at least {halved} frames for {len(self.filters)} blocks. "
                f"Received: {frames} frames of {bands} bands."
            )
        dtype = self.dtype_policy
        yield keras.layers.Reshape((frames, bands, 1), dtype=dtype)
        for filters in self.filters:
            yield keras.layers.Conv2D(
                filters,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                dtype=dtype,
            )
            yield keras.layers.BatchNormalization(momentum=0.9, dtype=dtype)
            yield keras.layers.ReLU(dtype=dtype)
            yield keras.layers.MaxPooling2D(dtype=dtype)
        maps = (frames // halved, bands // halved * self.filters[-1])
        yield keras.layers.Reshape(maps, dtype=dtype)
        yield keras.layers.GlobalAveragePooling1D(dtype=dtype)
        # What comes out of ReLUs is never negative. Hundreds of such numbers, all moved the same
        # way by a few steps of training, would push every number of the vectors below zero, and
        # a ReLU that follows would be dead.
        yield keras.layers.BatchNormalization(momentum=0.9, dtype=dtype)
        yield keras.layers.Dense(self.dim, dtype=dtype)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
