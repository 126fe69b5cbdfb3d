"""Train an encoder by itself: let it say from an item's content who will like it.

What users choose gives every item with a past a vector, and items that the same users like have
similar ones. An encoder that predicts these vectors from content gives one to new items too.
"""

import keras
import numpy as np

from mmrec_tf.baselines import ImplicitALS

__all__ = [
    "collaborative_targets",
    "random_flip",
    "random_shift",
    "train_encoder",
    "train_encoders",
]


def collaborative_targets(dataset, interactions, *, factors=48, seed=0):
    """Return for every item where its vector points, as its users' choices place it.

    The vectors are those of implicit ALS, scaled to length one: how long a vector is says how
    popular the item is, which content does not show. Then their mean, weighted, is subtracted,
    and they are scaled to a mean square of one, so that an encoder that knows nothing, and says
    zero, has a mean squared error of about one.

    Args:
        dataset: `Dataset`.
        interactions: data frame with the columns `user` and `item`, as `split.train`.
        factors: length of the vectors.
        seed: non-negative int, of ALS.

    Returns:
        Two float32 arrays. The targets, of shape `(n_items, factors)`: zeros for items without a
        past. Their weights, of shape `(n_items,)`: the square root of an item's number of
        interactions, in proportion, since the more there are the better its vector is known; 0
        for items without a past, and a mean of 1 over the others.

    References:
        A. van den Oord, S. Dieleman, B. Schrauwen: Deep content-based music recommendation.
        NeurIPS 2013, https://papers.nips.cc/paper/5004
    """
    counts = np.bincount(interactions["item"], minlength=dataset.n_items)
    warm = counts > 0
    vectors = np.zeros((dataset.n_items, factors))
    model = ImplicitALS(factors=factors, seed=seed).fit(dataset, interactions)
    known = model.item_vectors[warm]
    vectors[warm] = known / np.linalg.norm(known, axis=1, keepdims=True)
    weights = np.sqrt(counts)
    vectors[warm] -= np.average(vectors, axis=0, weights=weights)
    vectors /= np.sqrt(np.mean(np.square(vectors[warm])))
    return vectors.astype(np.float32), (weights / weights[warm].mean()).astype(np.float32)


def train_encoder(
    encoder,
    content,
    targets,
    weights,
    *,
    epochs=20,
    batch_size=64,
    learning_rate=0.002,
    dropout=0.0,
    augment=None,
    seed=0,
):
    """Train an encoder, with a linear map after it, to predict the items' targets.

    The optimizer is AdamW, with a learning rate that falls to zero as a quarter of a cosine.

    Args:
        encoder: Keras layer from content to vectors of shape `(batch, dim)`. Create it after
            `keras.utils.set_random_seed` to get the same result twice.
        content: array of shape `(n_items, *shape)`, as the encoder takes it.
        targets: array of shape `(n_items, factors)`, as of `collaborative_targets`.
        weights: array of shape `(n_items,)`; items with a weight of 0 play no part.
        epochs: number of passes over the items.
        batch_size: items a step; what is left over in a pass waits for the next one.
        learning_rate: of the first step.
        dropout: probability of dropping a number of the encoder's vectors, while training.
        augment: function from a batch of content, a `tf.Tensor`, to another one that means the
            same, such as `random_flip`.
        seed: int; order, augmentation and initial weights depend on it.

    Returns:
        `keras.Model` from content to targets; `model.predict(content)` gives vectors for all
        items, cold ones too. Its `history` holds the losses.

    Raises:
        ValueError: if there are fewer items than make one batch.
    """
    keras.utils.set_random_seed(seed)
    content = np.asarray(content)
    inputs = keras.Input(content.shape[1:], dtype=content.dtype.name)
    model = keras.Model(inputs, _head(encoder(inputs), targets, dropout, seed))
    _fit(model, content, targets, weights, epochs, batch_size, learning_rate, augment, seed)
    return model


def train_encoders(
    encoders,
    content,
    targets,
    weights,
    *,
    epochs=20,
    batch_size=64,
    learning_rate=0.002,
    dropout=0.0,
    augment=None,
    seed=0,
):
    """Train the encoders of several modalities together, to predict the items' targets in sum.

    Otherwise as `train_encoder`. To one modality alone, what the others say of an item is noise.
    Together each has to explain only what the others leave, and learns it from fewer items.

    Args:
        encoders: dict from a modality's name to its encoder.
        content: dict from the same names to arrays of shape `(n_items, *shape)`; every item that
            has a weight needs all of them.
        targets: array of shape `(n_items, factors)`.
        weights: array of shape `(n_items,)`.
        epochs: number of passes over the items.
        batch_size: items a step.
        learning_rate: of the first step.
        dropout: probability of dropping a number of an encoder's vectors, while training.
        augment: dict from names to functions of a batch; a modality may be left out.
        seed: int.

    Returns:
        `keras.Model` from a dict of content to a dict of what each modality adds, arrays of shape
        `(n_items, factors)`, whose sum predicts the targets. Its `history` holds the losses.

    Raises:
        ValueError: if content and encoders have other names, or there are fewer items than make
            one batch.
    """
    if set(content) != set(encoders):
        raise ValueError(
            "Expected `content` for each of the `encoders`. "
            f"Received: {sorted(content)} and {sorted(encoders)}."
        )
    keras.utils.set_random_seed(seed)
    names = sorted(encoders)
    content = {name: np.asarray(content[name]) for name in names}
    inputs = {
        name: keras.Input(content[name].shape[1:], dtype=content[name].dtype.name, name=name)
        for name in names
    }
    parts = {name: _head(encoders[name](inputs[name]), targets, dropout, seed) for name in names}
    whole = keras.Model(inputs, sum(parts.values()))
    steps = {name: (augment or {}).get(name, lambda batch: batch) for name in names}

    def augment_all(batch):
        return {name: step(batch[name]) for name, step in steps.items()}

    _fit(whole, content, targets, weights, epochs, batch_size, learning_rate, augment_all, seed)
    model = keras.Model(inputs, parts)
    model.history = whole.history
    return model


def _head(vectors, targets, dropout, seed):
    hidden = keras.layers.Dropout(dropout, seed=seed)(keras.ops.relu(vectors))
    return keras.layers.Dense(targets.shape[1])(hidden)


def _fit(model, content, targets, weights, epochs, batch_size, learning_rate, augment, seed):
    import tensorflow as tf  # Here, so that targets can be had without waiting for TensorFlow.

    items = np.flatnonzero(weights)
    if len(items) < batch_size:
        raise ValueError(
            f"Expected at least `batch_size` = {batch_size} items with a weight. "
            f"Received: {len(items)}."
        )
    steps = epochs * (len(items) // batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01), "mse", jit_compile=False)
    model.optimizer.build(model.trainable_variables)  # Built later, the step would be traced twice.
    parts = (
        keras.tree.map_structure(lambda values: values[items], content),
        targets[items],
        np.asarray(weights)[items],
    )
    data = tf.data.Dataset.from_tensor_slices(parts).shuffle(len(items), seed=seed)
    data = data.batch(batch_size, drop_remainder=True)
    if augment is not None:
        data = data.map(lambda x, y, weight: (augment(x), y, weight))
    # Keras warns of shuffling what is shuffled already.
    model.fit(data.prefetch(2), epochs=epochs, shuffle=False, verbose=0)


def random_flip(content, *, axes):
    """Mirror each item of a batch, or not, along each of the axes.

    Args:
        content: `tf.Tensor` of shape `(batch, *shape)`.
        axes: axes to mirror, such as `(1, 2)` for pictures upside down and left to right.
    """
    import tensorflow as tf

    batch = tf.shape(content)[0]
    for axis in axes:
        coin = tf.random.uniform([batch] + [1] * (content.shape.rank - 1)) < 0.5
        content = tf.where(coin, tf.reverse(content, [axis]), content)
    return content


def random_shift(content, *, shifts):
    """Move each item of a batch along axes; what leaves at one end comes back at the other.

    Args:
        content: `tf.Tensor` of shape `(batch, *shape)`.
        shifts: dict from an axis to the largest number of places to move by, either way.
    """
    import tensorflow as tf

    for axis, largest in shifts.items():
        batch, length = tf.shape(content)[0], tf.shape(content)[axis]
        moves = tf.random.uniform([batch, 1], -largest, largest + 1, tf.int32)
        places = (tf.range(length)[None] - moves) % length
        # A batch dimension and an axis of places: the axis comes second, and goes back.
        order = [0, axis, *(a for a in range(1, content.shape.rank) if a != axis)]
        moved = tf.gather(tf.transpose(content, order), places, axis=1, batch_dims=1)
        content = tf.transpose(moved, np.argsort(order))
    return content
