"""A trained model with all that it takes to recommend, in one object and in one folder."""

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mmrec_tf._served import check_items, check_without_users
from mmrec_tf.datasets.media import (
    check_audio,
    check_image,
    check_video,
    decode_audio,
    decode_image,
    decode_video,
)
from mmrec_tf.retrieval import ItemIndex, load_index

__all__ = ["Servable", "load_servable"]

# What a picture, and all frames of a clip, may have: a tenth of a second, and a second, to decode.
_MAX_PIXELS, _MAX_VIDEO_PIXELS = 2**24, 2**27
_MODEL, _INDEX, _ABOUT = "model.keras", "index.zip", "servable.json"


class Servable:
    """A trained model, the ids of its items, an index of what may be recommended, and encoders.

    Ids go in and come out; content of new items goes in as the bytes of files. Not safe for
    several threads at a time, except that `encode` may run beside all else.

    Args:
        model: `TwoTower`, trained, whose query tower has no vectors for users.
        item_ids: the ids of the model's items, in the order of its rows, as
            `dataset.items.index`; all strings or all integers.
        index: `ItemIndex` of the items that may be recommended, in vectors of this model.
            `add` and `remove` change it.
        modalities: dict from the names of the model's content to how new items bring it, as
            `dataset.modalities`: text, pictures, clips or sound. Other names are left out.
        encoders: dict from names to functions that turn raw content, an array as `modality[items]`
            gives it, into the model's; a name that is left out is taken as it is.
        histories: dict from a user's id, a string, to the ids of the items that she chose, the
            latest first, so that a client need not know them.

    Raises:
        ValueError: if the ids, the index or the modalities do not fit the model.
    """

    def __init__(self, model, item_ids, index, *, modalities=None, encoders=None, histories=None):
        self.model, self.index = model, index
        self.item_ids = [id.item() if isinstance(id, np.generic) else id for id in item_ids]
        self.encoders, self.histories = dict(encoders or {}), dict(histories or {})
        self._check(dict(modalities or {}))
        self.raw = {name: _RawContent.of(name, modalities[name]) for name in model.content}
        self.n_features = model.query_tower.n_features
        self.n_item_features = 0 if model.features is None else model.features.shape[1]
        self._row_of = {id: row for row, id in enumerate(self.item_ids)}
        signature = {"history": tf.TensorSpec((None, None), tf.int32)}
        if self.n_features:
            signature["features"] = tf.TensorSpec((None, self.n_features), tf.float32)
        self._query = tf.function(
            lambda queries: model(queries, training=False), input_signature=[signature]
        )
        # Dot products favour long vectors; what is similar has the same direction.
        self._directions = index
        if not model.query_tower.normalize:
            self._directions = ItemIndex(index.ids, self._direction(index.vectors(index.ids)))

    @property
    def id_type(self):
        """`str` or `int`: what the items' ids are."""
        return type(self.item_ids[0])

    @property
    def form(self):
        """What a client must know to ask: types of ids, forms of content, numbers of features."""
        return {
            "ids": self.id_type.__name__,
            "content": {name: raw.kind for name, raw in self.raw.items()},
            "features": self.n_features,
            "item features": self.n_item_features,
        }

    def recommend(self, histories, k, *, exclude=None, features=None):
        """Return the k items with the highest scores for each history, without what is in it.

        Args:
            histories: for each query a list of ids, the latest item first. What the model has not
                been trained with is passed over, and not recommended either; a history of nothing
                else gets what the model recommends to somebody of whom nothing is known.
            k: int of at least 1.
            exclude: None, or for each query a list of more ids that it must not get.
            features: float array of shape `(len(histories), n_features)`, if the model takes them.

        Returns:
            `(ids, scores)` as `ItemIndex.search` returns them.

        Raises:
            ValueError: as `ItemIndex.search`.
        """
        length = max(map(len, histories), default=0) or 1
        rows = np.full((len(histories), length), -1, np.int32)
        for query, history in enumerate(histories):
            rows[query, : len(history)] = [self._row_of.get(id, -1) for id in history]
        queries = {"history": rows}
        if self.n_features:
            with np.errstate(over="ignore"):  # The index refuses what is not finite.
                queries["features"] = np.asarray(features, np.float32)
        hidden = histories
        if exclude is not None:
            hidden = [[*one, *more] for one, more in zip(histories, exclude, strict=True)]
        return self.index.search(self._query(queries).numpy(), k, exclude=hidden)

    def knows(self, id):
        """Return whether the model was trained with an item, so that a history is about it."""
        return id in self._row_of

    def similar(self, id, k):
        """Return the k items whose vectors have the highest cosines with that of one item.

        Returns:
            `(ids, cosines)`, arrays of shape `(k,)`.

        Raises:
            KeyError: if the index has no such item.
            ValueError: if there are not as many as k others.
        """
        vector = self._directions.vectors([id])
        ids, cosines = self._directions.search(vector, k, exclude=[[id]])
        return ids[0], cosines[0]

    def encode(self, parts, features=None):
        """Return the vector of an item that the model has never seen, from its content.

        Args:
            parts: dict from a modality's name to a file's name and its bytes; text is UTF-8. Only
                the ending of a clip's name counts: `.gif` or `.mp4`.
            features: floats, as many as the model's items have, if they have any.

        Returns:
            float32 array of shape `(width,)`.

        Raises:
            ValueError: if there is no content at all or a name is unknown, if a file is not what
                its modality needs, damaged, or too large (then a `MediaError`), if the features do
                not fit, or if what comes out is not finite.
        """
        unknown = set(parts) - set(self.raw)
        if unknown or (self.raw and not parts):
            raise ValueError(
                f"Expected at least one of {sorted(self.raw)}, and nothing else. "
                f"Received: {sorted(parts)}."
            )
        inputs = {"item": np.array([-1], np.int32)}
        if self.raw:
            tables = self.model.content
            content = {n: np.zeros((1, *t.shape[1:]), t.dtype) for n, t in tables.items()}
            for name, (filename, data) in parts.items():
                row = self.raw[name].read(filename, data)
                row = self.encoders.get(name, np.asarray)(row)
                if row.shape != content[name].shape:
                    raise ValueError(
                        f"Expected {name} of shape {content[name].shape[1:]}, as the model has "
                        f"it. Its encoder returned: {row.shape[1:]}."
                    )
                content[name] = row.astype(content[name].dtype)
            inputs["content"] = content
            inputs["present"] = {name: np.array([name in parts]) for name in self.raw}
        features = () if features is None else features
        if len(features) != self.n_item_features:
            raise ValueError(
                f"Expected {self.n_item_features} `features`. Received: {len(features)}."
            )
        if self.n_item_features:
            inputs["features"] = np.array([features], np.float32)
        vector = np.array(self.model.candidate_tower(inputs, training=False), np.float32)[0]
        if not np.isfinite(vector).all():
            raise ValueError("Expected a finite vector. The model makes another of this content.")
        return vector

    def add(self, id, vector):
        """Let an item be recommended, by the vector that `encode` gave.

        Raises:
            ValueError: if there is an item of that id.
        """
        self.index.add([id], vector[None])
        if self._directions is not self.index:
            self._directions.add([id], self._direction(vector[None]))

    def remove(self, id):
        """Recommend an item no more.

        Raises:
            KeyError: if there is no item of that id.
        """
        self.index.remove([id])
        if self._directions is not self.index:
            self._directions.remove([id])

    def save(self, folder):
        """Write a new folder that `load_servable` reads; encoders are code, and not in it.

        The folder appears under its name only when it is complete.

        Raises:
            FileExistsError: if there is a folder of that name.
        """
        folder = Path(folder)
        if folder.exists():
            raise FileExistsError(f"Expected a new folder. There is a {folder} already.")
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=folder.name, suffix=".part"))
        try:
            self.model.save(part / _MODEL)
            self.index.save(part / _INDEX)
            about = {
                "format": "mmrec_tf servable",
                "version": 1,
                "sha256": {name: _digest(part / name) for name in (_MODEL, _INDEX)},
                "modalities": {name: raw.to_json() for name, raw in self.raw.items()},
                "item_ids": self.item_ids,
                "histories": self.histories,
            }
            (part / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
            part.chmod(0o755)
            part.rename(folder)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise

    def _direction(self, vectors):
        """Return what of the vectors is not bias, at length one."""
        vectors = vectors[:, : self.model.query_tower.dim]
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)

    def _check(self, modalities):
        check_without_users(self.model)
        check_items(self.model, self.item_ids, self.index)
        kinds = {type(id) for id in (*self.item_ids, *self.index.ids)}
        if kinds not in ({str}, {int}):
            raise ValueError(
                "Expected ids that are all str or all int, in the index too. "
                f"Received: {sorted(kind.__name__ for kind in kinds)}."
            )
        missing = set(self.model.content) - set(modalities)
        unknown = set(self.encoders) - set(self.model.content)
        if missing or unknown:
            raise ValueError(
                f"Expected `modalities` for the model's content {sorted(self.model.content)}, and "
                f"`encoders` for no other. Received: {sorted(modalities)} and "
                f"{sorted(self.encoders)}."
            )


def load_servable(folder, *, encoders=None):
    """Read what `Servable.save` has written.

    Nothing in the folder is run: the model is a `.keras` file, which Keras reads in its safe
    mode, the rest JSON and arrays. A model with layers of your own needs them imported before.

    Args:
        folder: the folder.
        encoders: as for `Servable`.

    Raises:
        ValueError: if a file is missing or is not what was saved; the message names it.
    """
    # What a saved model is made of must be known to Keras.
    from mmrec_tf import fusion, two_tower  # noqa: F401
    from mmrec_tf.encoders import audio, image, text, video  # noqa: F401

    folder = Path(folder)
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        if about["format"] != "mmrec_tf servable" or about["version"] != 1:
            raise ValueError(f"it is of format {about['format']!r}, version {about['version']}")
        for name, digest in about["sha256"].items():
            if _digest(folder / name) != digest:
                raise ValueError(f"{name} is not what was saved")
        modalities = {
            name: _RawContent.of(name, _RawContent.from_json(spec))
            for name, spec in about["modalities"].items()
        }
        item_ids, histories = about["item_ids"], about["histories"]
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"Expected a whole folder that `Servable.save` has written. Received: {folder}; "
            f"{error}. Save it again, or go back to an earlier one."
        ) from None
    return Servable(
        keras.saving.load_model(folder / _MODEL, compile=False),
        item_ids,
        load_index(folder / _INDEX),
        modalities=modalities,
        encoders=encoders,
        histories=histories,
    )


@dataclass(frozen=True)
class _RawContent:
    """How one modality's raw content looks: what of a `Modality` is not about its items."""

    shape: tuple[int, ...]
    dtype: np.dtype
    rate: float | None

    @classmethod
    def of(cls, name, modality):
        """Return the form of a modality's content, or raise an error if no file can have it."""
        raw = cls(tuple(modality.shape), np.dtype(modality.dtype), modality.rate)
        if raw.kind is None:
            raise ValueError(
                f"Expected {name} to be text, pictures, clips (uint8), or sound (int16, with a "
                f"rate). Received: {raw.dtype} of shape {raw.shape}, rate {raw.rate}."
            )
        return raw

    @classmethod
    def from_json(cls, spec):
        return cls(tuple(spec["shape"]), np.dtype(spec["dtype"]), spec["rate"])

    def to_json(self):
        return {"shape": list(self.shape), "dtype": self.dtype.str, "rate": self.rate}

    @property
    def kind(self):
        """Text, image, video or audio; None for what is none of these."""
        form = (self.dtype, len(self.shape))
        kinds = {(np.dtype(np.uint8), 3): "image", (np.dtype(np.uint8), 4): "video"}
        kinds |= {(np.dtype(object), 0): "text"}
        if self.rate:
            kinds |= {(np.dtype(np.int16), 1): "audio"}
        return kinds.get(form)

    def read(self, filename, data):
        """Return a file's content, an array of shape `(1, *shape)`."""
        if self.kind == "text":
            return np.array([data.decode("utf-8")], object)
        with tempfile.TemporaryDirectory() as folder:
            # Not under the client's name, of which only a clip's ending is of use.
            ending = ".mp4" if filename.lower().endswith(".mp4") else ".gif"
            path = Path(folder, "file" + (ending if self.kind == "video" else ""))
            path.write_bytes(data)
            if self.kind == "image":
                check_image(path, max_pixels=_MAX_PIXELS)
                return decode_image(path, self.shape[:2])[None]
            if self.kind == "video":
                check_video(path, max_pixels=_MAX_VIDEO_PIXELS)
                return decode_video(path, self.shape[0], self.shape[1:3])[None]
            check_audio(path)
            return decode_audio(path, round(self.rate), self.shape[0])[None]


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
