"""Vectors of many items that a two-tower model has learned, from a log made up for the purpose."""

import keras
import numpy as np
import pandas as pd

from mmrec_tf import Dataset
from mmrec_tf.sequences import histories, next_items_data
from mmrec_tf.two_tower import CandidateTower, QueryTower, TwoTower

DIM, GROUPS, TASTES = 64, 1000, 16


def choices(n_users, n_items, length, seed):
    """Return what users choose, of shape `(n_users, length)`: a group by taste, a hit in it.

    Groups lie at random in a space of tastes, and users too. A user takes a group by a softmax of
    the dot product, and an item of the group by Zipf's law.
    """
    rng = np.random.default_rng(seed)
    groups = rng.normal(size=(GROUPS, TASTES))
    sizes = n_items // GROUPS
    popularity = np.cumsum(1 / np.arange(1, sizes + 1) ** 0.8)
    items = np.empty((n_users, length), np.int64)
    for user in range(n_users):
        logits = groups @ rng.normal(size=TASTES)
        shares = np.cumsum(np.exp(logits - logits.max()))
        group = np.searchsorted(shares, rng.random(length) * shares[-1])
        place = np.searchsorted(popularity, rng.random(length) * popularity[-1])
        items[user] = group * sizes + place
    return items


def trained_vectors(n_items, *, n_queries, seed=0):
    """Return item vectors, `(n_items, DIM)`, and users' queries, all of length one.

    There are twenty choices for every item. Items that nobody has chosen get the vector of one
    that somebody has, moved a little: a real shop would place them by their content.
    """
    n_users, length = n_items // 5, 100
    items = choices(n_users, n_items, length, seed)
    log = pd.DataFrame(
        {
            "user": np.repeat(np.arange(n_users), length),
            "item": items.ravel(),
            "timestamp": np.tile(np.arange(length), n_users),
        }
    )
    shop = Dataset(
        "log", pd.DataFrame(index=range(n_users)), pd.DataFrame(index=range(n_items)), log, {}
    )
    counts = np.bincount(log["item"], minlength=n_items)
    keras.utils.set_random_seed(seed)
    model = TwoTower(
        QueryTower(n_items, DIM, normalize=True, seed=seed),
        CandidateTower(n_items, DIM, normalize=True, seed=seed),
        counts=counts,
        negatives="batch",
        shared_targets=4,
        temperature=0.1,
    )
    # Few long steps: each touches the whole table.
    model.compile(keras.optimizers.Adam(0.02), jit_compile=True)
    data = next_items_data(shop, log, history_length=20, n_targets=20, batch_size=1024)
    model.fit(data.repeat().take(200), shuffle=False, verbose=0)
    vectors = model.candidate_vectors()
    cold = np.flatnonzero(counts == 0)
    if len(cold):
        rng = np.random.default_rng(seed)
        like = vectors[rng.choice(np.flatnonzero(counts), len(cold))]
        vectors[cold] = like + rng.normal(0, 0.03, like.shape)
        vectors[cold] /= np.linalg.norm(vectors[cold], axis=1, keepdims=True)
    asked = histories(shop, log, length=20)[:n_queries]
    return vectors, np.asarray(model({"history": asked}))
