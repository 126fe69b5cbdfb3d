"""Vectors of pictures, sounds and clips by recipes of a few lines, in which nothing is trained."""

import numpy as np

__all__ = ["describe_audio", "describe_image", "describe_video"]


def describe_image(images):
    """Describe pictures by shares of 64 colours, and by edges in the middle.

    A share enters as its square root, so that a spot of red counts beside a wall of grey.

    Args:
        images: uint8 array of shape `(n, height, width, 3)`.

    Returns:
        float array of shape `(n, 70)`: the colours, four levels of red, green and blue each, then
        mean change and two shares of large changes, from row to row and from column to column.

    Example:

    >>> red = np.zeros((1, 8, 8, 3), np.uint8) + np.uint8([255, 0, 0])
    >>> np.flatnonzero(describe_image(red))
    array([48])
    """
    colours = (images // 64).astype(int) @ [16, 4, 1]
    shares = [np.bincount(row.ravel(), minlength=64) for row in colours]
    columns = [np.sqrt(np.array(shares) / colours[0].size)]
    height, width = colours.shape[1:]
    middle = np.s_[:, height // 4 : height - height // 4, width // 4 : width - width // 4]
    grey = images.mean(axis=-1)[middle]
    for axis in (1, 2):
        edges = np.abs(np.diff(grey, axis=axis)) / 50
        for value in (edges, edges > 0.6, edges > 1.2):
            columns.append(value.mean(axis=(1, 2))[:, None])
    return np.hstack(columns)


def describe_audio(sounds, *, rate=16_000):
    """Describe sounds by how strong each pitch is, how much it changes, and when sounds begin.

    Args:
        sounds: int16 array of shape `(n, samples)`.
        rate: samples a second.

    Returns:
        float array of shape `(n, 2 * bands + frames - 1)`, of the bands and frames of
        `LogMelSpectrogram(rate)`: mean and spread of each band over time, and the mean rise from
        frame to frame, sorted, so that it does not matter when.
    """
    from mmrec_tf.encoders.audio import LogMelSpectrogram  # Here: it needs TensorFlow.

    spectrogram = LogMelSpectrogram(rate)
    parts = np.array_split(sounds, 1 + len(sounds) // 250)
    bands = np.concatenate([np.array(spectrogram(part)) for part in parts])
    bands = bands - bands.mean(axis=(1, 2), keepdims=True)  # How loud it is plays no part.
    rises = np.maximum(np.diff(bands, axis=1), 0).mean(axis=2)
    return np.hstack([bands.mean(axis=1), bands.std(axis=1), np.sort(rises, axis=1)])


def describe_video(clips):
    """Describe clips by where, how much and where to each frame differs from the one before.

    Args:
        clips: uint8 array of shape `(n, frames, height, width, 3)`; height and width are
            divisible by 8.

    Returns:
        float array of shape `(n, 5 * (frames - 1) + 62)`: the centre of change, across and down,
        of each frame but the first, and how it moves; how much changes; and where over the whole
        clip, in 8×8 blocks.
    """
    n, _, height, width, _ = clips.shape
    grey = clips.astype(np.float32).mean(axis=-1)
    change = np.abs(np.diff(grey, axis=1))
    total = change.sum(axis=(2, 3)) + 1e-6
    across = (change.sum(axis=2) @ (np.arange(width) / width)) / total
    down = (change.sum(axis=3) @ (np.arange(height) / height)) / total
    blocks = change.mean(axis=1).reshape(n, 8, height // 8, 8, width // 8).mean(axis=(2, 4))
    columns = [across, down, np.diff(across, axis=1), np.diff(down, axis=1)]
    return np.hstack([*columns, total / 2000, blocks.reshape(n, 64) / 10])
