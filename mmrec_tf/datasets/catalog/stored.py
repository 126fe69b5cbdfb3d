"""Rendered arrays kept on disk: written once, mapped into memory ever after."""

import functools
import os
import uuid

import numpy as np
from numpy.lib import format as npy

from mmrec_tf.datasets._cache import cache_folder
from mmrec_tf.datasets.dataset import Modality

STORED_ITEMS = 20_000  # Content of more items is rendered whenever it is read.


def rendered_modality(file, shape, dtype, render, *, rate=None):
    """Return a modality that every item has, rendered when first read and then kept on disk.

    Args:
        file: name of the file in the cache. Whatever changes the content must change it.
        shape: shape of the whole content, items first.
        dtype: its NumPy dtype.
        render: function from an int array of items to their content.
        rate: see `Modality`.
    """
    dtype = np.dtype(dtype)
    read = _in_blocks(render)
    if shape[0] <= STORED_ITEMS:
        read = _stored(file, shape, dtype, read)
    return Modality(np.ones(shape[0], dtype=bool), read, shape[1:], dtype, rate)


def _in_blocks(render, *, block=4):
    """Let `render` work on a few items at a time: what fits a processor's cache goes faster."""

    def read(items):
        starts = range(0, len(items), block)
        return np.concatenate([render(items[start : start + block]) for start in starts])

    return read


def _stored(file, shape, dtype, render):
    """Let items be read from a file in the cache, which is rendered when first needed."""

    @functools.cache
    def array():
        return stored_array(cache_folder() / file, shape, dtype, render)

    return lambda items: array()[items]


def stored_array(path, shape, dtype, render, *, block=64):
    """Return the array in the file `path`, mapped into memory; render it first if need be.

    The file gets its name only once it is complete, so that a killed process leaves no half of it
    and two processes at a time do no harm. A file of another size, shape or type is replaced.

    Args:
        path: `pathlib.Path` of a `.npy` file.
        shape: shape of the array, items first.
        dtype: its NumPy dtype.
        render: function from an int array of items to their part of the array.
        block: items to render at a time.

    Returns:
        Read-only array of this shape.

    Raises:
        OSError: if the file can be neither read nor written.
    """
    dtype = np.dtype(dtype)
    try:
        if not _is_intact(path, shape, dtype):
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, shape, dtype, render, block)
        return np.load(path, mmap_mode="r")
    except OSError as error:
        raise OSError(
            f"Expected to keep {path.name} in {path.parent}. Received: {error}. Make room there, "
            "or set the environment variable MMREC_TF_CACHE to another folder."
        ) from error


def _write(path, shape, dtype, render, block):
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(part, "xb") as file:
            header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(file, header)
            for start in range(0, shape[0], block):
                items = np.arange(start, min(start + block, shape[0]))
                file.write(render(items).astype(dtype, copy=False).tobytes())
        os.replace(part, path)
    except PermissionError:
        # Windows replaces no file that is open: another process was faster and reads it by now.
        if not _is_intact(path, shape, dtype):
            raise
    finally:
        part.unlink(missing_ok=True)


def _is_intact(path, shape, dtype):
    """Tell whether a file holds an array of this shape and type, to the last byte."""
    try:
        with open(path, "rb") as file:
            if npy.read_magic(file) != (1, 0):
                return False
            if npy.read_array_header_1_0(file) != (shape, False, dtype):
                return False
            return path.stat().st_size == file.tell() + int(np.prod(shape)) * dtype.itemsize
    except (FileNotFoundError, ValueError):
        return False
