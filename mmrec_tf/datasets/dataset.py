"""The one form in which every loader hands over data, and every model takes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Modality:
    """One kind of content, text, image, audio or video, of some or all items.

    Content is read when it is asked for: `modality[items]` decodes or renders these items alone.

    Args:
        present: bool array of shape `(n_items,)`; which items have this content.
        read: function from an int array of items, all of them present, to their content, an
            array of shape `(len(items), *shape)`.
        shape: shape of one item's content, such as `(64, 64, 3)`; `()` for text.
        dtype: NumPy dtype of the content; `object` for text, whose values are `str`.
        rate: samples a second of audio; frames a second of video, None if sampled otherwise.

    Example:

    >>> text = Modality.from_array(np.array(["a mug", "", "a lamp"], dtype=object))
    >>> text
    Modality(text, 2 of 3 items)
    >>> text[[2, 1]]
    array(['a lamp', ''], dtype=object)
    """

    present: np.ndarray
    read: Callable[[np.ndarray], np.ndarray]
    shape: tuple[int, ...]
    dtype: np.dtype
    rate: float | None = None

    def __post_init__(self):
        object.__setattr__(self, "present", np.asarray(self.present))
        object.__setattr__(self, "dtype", np.dtype(self.dtype))
        if self.present.ndim != 1 or self.present.dtype != bool:
            raise ValueError(
                "Expected `present` to be a bool array of shape (n_items,). "
                f"Received: {self.present.dtype} of shape {self.present.shape}."
            )

    @classmethod
    def from_array(cls, values, *, present=None, rate=None):
        """Wrap an array that is in memory or mapped into it.

        Args:
            values: array of shape `(n_items, *shape)`; strings for text.
            present: bool array of shape `(n_items,)`; by default every item, and every text that
                is not empty.
            rate: see `Modality`.
        """
        if not isinstance(values, np.ndarray):
            values = np.asarray(values)
        if values.dtype.kind in "UT":
            values = values.astype(object)
        if present is None:
            present = values != "" if values.dtype == object else np.ones(len(values), bool)
        present = np.asarray(present, dtype=bool)
        if len(present) != len(values):
            raise ValueError(
                "Expected `present` and `values` of the same length. "
                f"Received: {len(present)} and {len(values)}."
            )
        return cls(present, lambda items: values[items], values.shape[1:], values.dtype, rate)

    def __len__(self):
        return len(self.present)

    def __getitem__(self, items):
        """Return the content of `items`; zeros or an empty string where an item has none.

        Args:
            items: int array of shape `(n,)`, or one int.

        Returns:
            Array of shape `(n, *shape)`; of shape `shape` for one int.
        """
        one = np.ndim(items) == 0
        items = np.atleast_1d(items)
        if items.dtype.kind not in "iu" and items.size:
            raise TypeError(f"Expected `items` to be integers. Received: {items.dtype}.")
        items = items.astype(np.int64)
        outside = items[(items < 0) | (items >= len(self))]
        if outside.size:
            raise IndexError(f"Expected items in [0, {len(self)}). Received: {outside[0]}.")
        content = np.full((len(items), *self.shape), "" if self.dtype == object else 0, self.dtype)
        here = self.present[items]
        if here.any():
            content[here] = self.read(items[here])
        return content[0] if one else content

    def __repr__(self):
        kind = "text" if self.dtype == object else f"{'×'.join(map(str, self.shape))} {self.dtype}"
        rate = f" at {self.rate:g} Hz" if self.rate else ""
        return f"Modality({kind}{rate}, {self.present.sum():,} of {len(self):,} items)"


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Users, items, their interactions, and the items' content.

    Inside, a user and an item are their row numbers, 0, 1, 2, …; outside, they are the caller's
    own ids, strings or integers of up to 64 bits, which index `users` and `items`.

    Args:
        name: what `print` calls it.
        users: data frame with one row a user, indexed by the caller's ids; its columns are what
            is known of a user, perhaps nothing.
        items: the same for items.
        interactions: data frame with one row an interaction and the columns `user` and `item`
            (row numbers), `timestamp` (seconds since 1970-01-01 UTC), and perhaps `rating` and
            `weight`. Its index numbers the interactions 0, 1, 2, ….
        modalities: dict from a name to a `Modality` with one entry an item.

    Raises:
        ValueError: if an id stands twice, a row number points outside its frame, a column is
            missing, or a modality has another number of items; the message names it.

    Example:

    >>> log = pd.DataFrame({
    ...     "user_id": ["ann", "bo", "ann"],
    ...     "item_id": ["mug", "mug", "lamp"],
    ...     "timestamp": [0, 60, 3600],
    ... })
    >>> shop = Dataset.from_log("shop", log)
    >>> print(shop)
    shop
      users         2
      items         2
      interactions  3: 1.5 a user, density 75.00 %, 1970-01-01 to 1970-01-01
    >>> shop.item_index(["lamp"])
    array([0], dtype=int32)
    >>> shop.items.index[0]
    'lamp'
    """

    name: str
    users: pd.DataFrame
    items: pd.DataFrame
    interactions: pd.DataFrame
    modalities: Mapping[str, Modality] = field(default_factory=dict)

    def __post_init__(self):
        for kind, frame in [("users", self.users), ("items", self.items)]:
            _check_ids(frame.index, kind)
        missing = {"user", "item", "timestamp"} - set(self.interactions.columns)
        if missing:
            raise ValueError(f"Expected `interactions` with columns {sorted(missing)} too.")
        types = {"user": "int32", "item": "int32", "timestamp": "int64"}
        types |= {c: "float32" for c in ("rating", "weight") if c in self.interactions}
        for column in types:
            values = self.interactions[column]
            if values.isna().any() or (
                types[column] != "float32" and not pd.api.types.is_integer_dtype(values)
            ):
                expected = "numbers" if types[column] == "float32" else "integers"
                raise ValueError(
                    f"Expected `interactions.{column}` to be {expected} without gaps. "
                    f"Received: {values.dtype} with {values.isna().sum()} missing."
                )
        for column, frame in [("user", self.users), ("item", self.items)]:
            values = self.interactions[column].to_numpy()
            outside = np.flatnonzero((values < 0) | (values >= len(frame)))
            if outside.size:
                raise ValueError(
                    f"Expected `interactions.{column}` in [0, {len(frame)}). "
                    f"Received: {values[outside[0]]} in row {outside[0]}."
                )
        interactions = self.interactions[list(types)].astype(types).reset_index(drop=True)
        object.__setattr__(self, "interactions", interactions)
        for name, modality in self.modalities.items():
            if len(modality) != len(self.items):
                raise ValueError(
                    f"Expected modality {name!r} to have {len(self.items)} items. "
                    f"Received: {len(modality)}."
                )

    @classmethod
    def from_log(cls, name, log, *, users=None, items=None, modalities=None):
        """Build a data set from interactions that carry the caller's own ids.

        Args:
            name: what `print` calls it.
            log: data frame with the columns `user_id`, `item_id`, `timestamp` (seconds), and
                perhaps `rating` and `weight`.
            users: data frame indexed by user ids; by default the ids in the log, sorted.
            items: the same for items.
            modalities: dict from a name to a `Modality`, in the order of `items`.

        Raises:
            ValueError: as `Dataset` does, and if the log names an unknown user or item.
        """
        if users is None:
            users = pd.DataFrame(index=pd.Index(log["user_id"].unique()).sort_values())
        if items is None:
            items = pd.DataFrame(index=pd.Index(log["item_id"].unique()).sort_values())
        rows = {
            "user": _row_numbers(users.index, log["user_id"], "user"),
            "item": _row_numbers(items.index, log["item_id"], "item"),
        }
        columns = [c for c in ("timestamp", "rating", "weight") if c in log]
        rows |= {column: log[column].to_numpy() for column in columns}
        return cls(name, users, items, pd.DataFrame(rows), modalities or {})

    @property
    def n_users(self):
        """Number of users, those without an interaction too."""
        return len(self.users)

    @property
    def n_items(self):
        """Number of items, those without an interaction too."""
        return len(self.items)

    def user_index(self, ids):
        """Return the row numbers, int32 of shape `(n,)`, of users by the caller's ids.

        Raises:
            KeyError: if an id is unknown.
        """
        return _row_numbers(self.users.index, ids, "user", KeyError)

    def item_index(self, ids):
        """Return the row numbers, int32 of shape `(n,)`, of items by the caller's ids.

        Raises:
            KeyError: if an id is unknown.
        """
        return _row_numbers(self.items.index, ids, "item", KeyError)

    def to_tf_data(self, interactions=None, *, batch_size, modalities=(), shuffle_seed=None):
        """Stream interactions in batches, each with its items' content.

        Content is read batch by batch, while the model computes; nothing is copied as a whole.

        Args:
            interactions: the rows to stream, such as `split.train`; by default all.
            batch_size: rows a batch; the last one may be smaller.
            modalities: names of the modalities to read with every batch.
            shuffle_seed: an int shuffles all rows, anew in every pass; None keeps their order.

        Returns:
            `tf.data.Dataset` of dicts with a tensor of shape `(batch,)` a column of
            `interactions`, and for each modality its content, shape `(batch, *shape)`, and
            `<name>_present`, bool of shape `(batch,)`.
        """
        rows = self.interactions if interactions is None else interactions
        return self._stream(
            {column: rows[column].to_numpy() for column in rows if rows[column].dtype.kind in "if"},
            modalities,
            batch_size,
            shuffle_seed,
        )

    def items_to_tf_data(self, *, batch_size, modalities=None, shuffle_seed=None):
        """Stream every item once, with its content: what encodes a catalogue.

        Args:
            batch_size: items a batch; the last one may be smaller.
            modalities: names of the modalities to read; by default all.
            shuffle_seed: as in `to_tf_data`.

        Returns:
            `tf.data.Dataset` of dicts: `item`, int32 of shape `(batch,)`, and the modalities as
            in `to_tf_data`.
        """
        names = self.modalities if modalities is None else modalities
        items = np.arange(self.n_items, dtype=np.int32)
        return self._stream({"item": items}, names, batch_size, shuffle_seed)

    def _stream(self, columns, modalities, batch_size, shuffle_seed):
        import tensorflow as tf  # Here, so that data can be read without waiting for TensorFlow.

        if batch_size < 1:
            raise ValueError(f"Expected `batch_size` of at least 1. Received: {batch_size}.")
        unknown = set(modalities) - set(self.modalities)
        if unknown:
            raise ValueError(
                f"Expected modalities among {sorted(self.modalities)}. Received: {sorted(unknown)}."
            )
        chosen = {name: self.modalities[name] for name in modalities}
        n_rows = len(columns["item"])
        passes = iter(range(2**62))

        def batches():
            order = np.arange(n_rows)
            if shuffle_seed is not None:
                np.random.default_rng([shuffle_seed, next(passes)]).shuffle(order)
            for start in range(0, n_rows, batch_size):
                rows = order[start : start + batch_size]
                batch = {name: column[rows] for name, column in columns.items()}
                for name, modality in chosen.items():
                    batch[name] = modality[batch["item"]]
                    batch[f"{name}_present"] = modality.present[batch["item"]]
                yield batch

        signature = {name: tf.TensorSpec((None,), column.dtype) for name, column in columns.items()}
        for name, modality in chosen.items():
            dtype = tf.string if modality.dtype == object else modality.dtype
            signature[name] = tf.TensorSpec((None, *modality.shape), dtype)
            signature[f"{name}_present"] = tf.TensorSpec((None,), tf.bool)
        stream = tf.data.Dataset.from_generator(batches, output_signature=signature)
        n_batches = -(-n_rows // batch_size)
        return stream.apply(tf.data.experimental.assert_cardinality(n_batches)).prefetch(2)

    def __repr__(self):
        log = self.interactions
        lines = [self.name]
        for kind, frame in [("users", self.users), ("items", self.items)]:
            columns = f": {', '.join(map(str, frame.columns))}" if len(frame.columns) else ""
            lines.append(f"  {kind:<13} {len(frame):,}{columns}")
        line = f"  interactions  {len(log):,}"
        if len(log):
            days = pd.to_datetime([log["timestamp"].min(), log["timestamp"].max()], unit="s")
            line += f": {len(log) / self.n_users:.1f} a user, density {self._density():.2%}, "
            line = line.replace("%", " %") + " to ".join(days.strftime("%Y-%m-%d"))
            line += "".join(f", {column}" for column in ("rating", "weight") if column in log)
        lines.append(line)
        for name, modality in self.modalities.items():
            lines.append(f"  {name:<13} {str(modality)[9:-1]}")
        return "\n".join(lines)

    def _density(self):
        pairs = self.interactions["user"].to_numpy(np.int64) * self.n_items
        return len(np.unique(pairs + self.interactions["item"])) / self.n_users / self.n_items


def _check_ids(ids, kind):
    """Raise an error unless `ids` are distinct strings or distinct integers."""
    strings = pd.api.types.is_string_dtype(ids) or pd.api.types.is_object_dtype(ids)
    if len(ids) and not pd.api.types.is_integer_dtype(ids):
        faulty = [i for i in ids if not isinstance(i, str)] if strings else list(ids[:1])
        if faulty:
            raise ValueError(
                f"Expected the ids of `{kind}` to be all strings or all integers. "
                f"Received: {faulty[0]!r}."
            )
    twice = ids[ids.duplicated()]
    if len(twice):
        raise ValueError(
            f"Expected the ids of `{kind}` to be distinct. Received twice: {twice.tolist()[0]!r}."
        )


def _row_numbers(index, ids, kind, error=ValueError):
    """Return the positions of `ids` in `index`, or raise `error` that names the unknown ones."""
    ids = pd.Index(ids)
    rows = index.get_indexer(ids).astype(np.int32)
    unknown = ids[rows < 0].unique()
    if len(unknown):
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise error(f"Unknown {kind} ids: {', '.join(map(repr, unknown[:5]))}{more}.")
    return rows
