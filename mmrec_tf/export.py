"""Take a trained model out of Python: as a SavedModel, for LiteRT, or for ONNX."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from mmrec_tf._served import check_items, check_without_users

__all__ = ["export_query_tower", "export_recommender"]

_FORMATS = {".tflite": "litert", ".onnx": "onnx"}


def export_recommender(path, model, item_ids, index):
    """Write a SavedModel that takes what a user chose, as strings, and returns ids, as strings.

    It holds all it needs: whoever loads it with `tf.saved_model.load`, or TensorFlow Serving, has
    neither this package nor the ids' row numbers. Its signature `serving_default` takes

    - `history`, strings of shape `(batch, length)`, of any length, the latest item first. Empty
      strings, and ids that the model does not know, are no item; a history of nothing but these
      gets what the model recommends to somebody of whom nothing is known;
    - `k`, an int32 of shape `()`;
    - `features`, float32 of shape `(batch, n_features)`, if the model's query tower takes them;

    and returns a dict of `ids`, strings of shape `(batch, k)`, the best first, and `scores`,
    float32 of the same shape. What is in the history is not recommended; where fewer than k items
    are left, the rest is empty strings and -inf.

    Args:
        path: folder to write.
        model: `TwoTower`, trained.
        item_ids: the ids of the model's items, in the order of its rows, as
            `dataset.items.index`. Integers become their decimal strings.
        index: `ItemIndex` of the items that may be recommended, in vectors of this model, under
            ids of the same kind; every search of the SavedModel is exact, whatever the index.

    Raises:
        ValueError: if there is another number of ids than of items, if the index has vectors of
            another length than the model, or if the query tower has vectors for users.
    """
    names = [str(id) for id in item_ids]
    check_without_users(model)
    check_items(model, names, index)
    exported = _Recommender(model, names, index)
    signature = {
        "history": tf.TensorSpec((None, None), tf.string, "history"),
        "k": tf.TensorSpec((), tf.int32, "k"),
    }
    if n_features := model.query_tower.n_features:
        signature["features"] = tf.TensorSpec((None, n_features), tf.float32, "features")
    function = tf.function(exported.recommend).get_concrete_function(**signature)
    tf.saved_model.save(exported, str(path), signatures={"serving_default": function})


def export_query_tower(path, model, *, history_length):
    """Write the query tower alone, numbers in and vectors out, for LiteRT or for ONNX.

    Both take `history`, int32 of shape `(batch, history_length)`, the latest item's row number
    first, -1 for no item, after `features`, if the tower takes them, and return what
    `model(queries)` does, to float32's last digits.

    Args:
        path: file to write, whose name ends in `.tflite` or `.onnx`; the latter needs `tf2onnx`.
        model: `TwoTower`, trained.
        history_length: number of items of a history.

    Raises:
        ValueError: if the name ends otherwise, or the query tower has vectors for users.
    """
    check_without_users(model)
    suffix = Path(path).suffix
    if suffix not in _FORMATS:
        raise ValueError(
            f"Expected a name that ends in one of {sorted(_FORMATS)}. Received: {Path(path).name}."
        )
    inputs = {"history": keras.InputSpec(dtype="int32", shape=(None, history_length))}
    if n_features := model.query_tower.n_features:
        inputs["features"] = keras.InputSpec(dtype="float32", shape=(None, n_features))
    model.export(str(path), format=_FORMATS[suffix], input_signature=[inputs], verbose=False)


class _Recommender(tf.Module):
    """What `export_recommender` saves: tables and weights, and the function that uses them."""

    def __init__(self, model, names, index):
        self.candidates = [str(id) for id in index.ids]
        self.vectors = tf.Variable(index.vectors(index.ids), trainable=False)
        self.rows, self.columns = _places(names), _places(self.candidates)
        self.score = lambda queries: model(queries, training=False) @ tf.transpose(self.vectors)
        # Not the model: TensorFlow would save functions of its own for it.
        self.weights = [variable.value for variable in model.variables]

    def recommend(self, history, k, features=None):
        queries = {"history": self.rows.lookup(history)}
        if features is not None:
            queries["features"] = features
        scores, n = self.score(queries), len(self.candidates)
        # What is no candidate goes to a column of its own, which is then left out.
        columns = self.columns.lookup(history)
        columns = tf.where(columns < 0, n, columns)
        users = tf.broadcast_to(tf.range(tf.shape(columns)[0])[:, None], tf.shape(columns))
        scores = tf.tensor_scatter_nd_update(
            tf.pad(scores, [[0, 0], [0, 1]]),
            tf.stack([users, columns], axis=-1),
            tf.fill(tf.shape(columns), np.float32(-np.inf)),
        )[:, :-1]
        # So that there are k columns.
        more = tf.maximum(k - n, 0)
        scores = tf.pad(scores, [[0, 0], [0, more]], constant_values=-np.inf)
        scores, columns = tf.math.top_k(scores, k)
        ids = tf.gather(tf.constant(self.candidates), tf.minimum(columns, n - 1))
        return {"ids": tf.where(scores > -np.inf, ids, ""), "scores": scores}


def _places(names):
    """Return a lookup of each name's place, -1 for all others, the empty string too."""
    place = {name: place for place, name in enumerate(names) if name}
    keys, values = tf.constant(list(place)), tf.constant(list(place.values()), tf.int32)
    initializer = tf.lookup.KeyValueTensorInitializer(keys, values)
    return tf.lookup.StaticHashTable(initializer, -1)
