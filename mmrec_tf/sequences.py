"""Users' interactions as sequences in time: what two towers are asked with and learn from."""

import itertools

import numpy as np

__all__ = ["histories", "next_items_data"]


def histories(dataset, interactions, *, length):
    """Return every user's latest items, the latest first.

    Args:
        dataset: `Dataset`; only its number of users is used.
        interactions: data frame with the columns `user`, `item` and `timestamp`.
        length: number of items to keep of each user; earlier ones are left out.

    Returns:
        int32 array of shape `(n_users, length)`; -1 where a user has no more items. A column's
        number is how many items the user has chosen since.

    Example:

    >>> import pandas as pd
    >>> from mmrec_tf import Dataset
    >>> log = {"user_id": list("aaab"), "item_id": list("xyzx"), "timestamp": [2, 1, 3, 0]}
    >>> shop = Dataset.from_log("shop", pd.DataFrame(log))
    >>> histories(shop, shop.interactions, length=2)
    array([[ 2,  0],
           [ 0, -1]], dtype=int32)
    """
    sequences = _sequences(dataset, interactions)
    rows = np.full((dataset.n_users, length), -1, np.int32)
    for user, sequence in enumerate(sequences):
        latest = sequence[::-1][:length]
        rows[user, : len(latest)] = latest
    return rows


def next_items_data(
    dataset, interactions, *, history_length, n_targets, batch_size, seed=0, passes=1, step=None
):
    """Stream examples that ask what a user chose next.

    In every pass each user's sequence is cut once, at a place drawn from its second half: what
    lies before the cut is the history, what comes after it are the targets. A model that is
    trained on these learns the order of things, which one that is trained on random parts of a
    history cannot.

    Args:
        dataset: `Dataset`; only its number of users is used.
        interactions: data frame with the columns `user`, `item` and `timestamp`, as `split.train`.
        history_length: number of items of a history, the latest before the cut.
        n_targets: number of targets, the first after the cut.
        batch_size: users a batch. What is left over in a pass is left to the next passes, which
            draw anew.
        seed: non-negative int; another seed draws other users and cuts.
        passes: number of passes that make one epoch.
        step: function without arguments that returns how many batches a model has learned from,
            such as `lambda: model.optimizer.iterations`. Then an epoch's draws depend on that
            alone, so that a training that was interrupted goes on with the data that it would
            have had. By default, each iteration draws anew.

    Returns:
        `tf.data.Dataset` of dicts: `user`, int32 of shape `(batch_size,)`; `history`, int32 of
        shape `(batch_size, history_length)`, as `histories` gives it; `targets`, int32 of shape
        `(batch_size, n_targets)`, -1 where there are no more. Iterate over one stream for all
        epochs: a second call begins with the same draws as the first.

    Raises:
        ValueError: if fewer than `batch_size` users have two interactions.
    """
    import tensorflow as tf  # Here, so that the rest can be used without waiting for TensorFlow.

    sequences = _sequences(dataset, interactions)
    sizes = np.array([len(sequence) for sequence in sequences])
    users = np.flatnonzero(sizes >= 2)
    if len(users) < batch_size:
        raise ValueError(
            f"Expected at least `batch_size` = {batch_size} users with two interactions. "
            f"Received: {len(users)}."
        )
    padded = np.full((len(sequences), sizes.max()), -1, np.int32)
    for user, sequence in enumerate(sequences):
        padded[user, : len(sequence)] = sequence
    n_batches = passes * (len(users) // batch_size)
    epochs = itertools.count()

    def batches():
        epoch = next(epochs) if step is None else int(step()) // n_batches
        for number in range(epoch * passes, (epoch + 1) * passes):
            rng = np.random.default_rng([seed, number])
            order = rng.permutation(users)
            for start in range(0, len(order) - batch_size + 1, batch_size):
                batch = order[start : start + batch_size]
                cut = np.floor(sizes[batch] * rng.uniform(0.5, 0.95, batch_size)).astype(int)
                cut = np.maximum(cut, 1)[:, None]
                yield {
                    "user": batch.astype(np.int32),
                    "history": _columns(padded, batch, cut - 1 - np.arange(history_length)),
                    "targets": _columns(padded, batch, cut + np.arange(n_targets)),
                }

    signature = {
        "user": tf.TensorSpec((batch_size,), tf.int32),
        "history": tf.TensorSpec((batch_size, history_length), tf.int32),
        "targets": tf.TensorSpec((batch_size, n_targets), tf.int32),
    }
    stream = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return stream.apply(tf.data.experimental.assert_cardinality(n_batches)).prefetch(2)


def _sequences(dataset, interactions):
    """Return for each user the items in the order of time, an int32 array."""
    user = interactions["user"].to_numpy()
    order = np.lexsort((interactions["timestamp"].to_numpy(), user))
    items = interactions["item"].to_numpy(np.int32)[order]
    ends = np.cumsum(np.bincount(user, minlength=dataset.n_users))
    return np.split(items, ends[:-1])


def _columns(padded, rows, columns):
    """Return `padded[rows, columns]`, -1 for columns that do not exist."""
    inside = (columns >= 0) & (columns < padded.shape[1])
    values = padded[rows[:, None], np.where(inside, columns, 0)]
    return np.where(inside, values, -1).astype(np.int32)
