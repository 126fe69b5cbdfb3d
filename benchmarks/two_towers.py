"""The two-tower model as a contender: built, trained and asked as the baselines are."""

import functools

import keras
import numpy as np

from benchmarks.protocol import Contender, grid
from mmrec_tf.fusion import LateFusion
from mmrec_tf.sequences import histories, next_items_data
from mmrec_tf.two_tower import CandidateTower, QueryTower, TwoTower

SEEDS = (0, 1, 2, 3, 4)


class TwoTowerRecommender:
    """A `TwoTower` on histories, with frozen content or none, behind `fit` and `score`.

    Args:
        content: dict from a name to an array of shape `(n_items, dim)`; both towers read it.
        dim: length of the vectors.
        epochs: number of epochs of ten passes over the users.
        half_life: what the query tower's begins with, in items.
        dropout: share of a history's items that is left out while training.
        scale: dict from a name to a factor of its content.
        history_length: items of a history.
        n_targets: targets of a user in a pass.
        seed: int.
    """

    def __init__(
        self,
        content=None,
        *,
        dim=64,
        epochs=10,
        half_life=20.0,
        dropout=0.5,
        scale=None,
        history_length=200,
        n_targets=30,
        seed=0,
    ):
        factors = scale or {}
        self.content = {
            name: (factors.get(name, 1.0) * np.asarray(values)).astype(np.float32)
            for name, values in (content or {}).items()
        }
        self.dim, self.epochs, self.half_life, self.dropout = dim, epochs, half_life, dropout
        self.history_length, self.n_targets, self.seed = history_length, n_targets, seed

    def fit(self, dataset, interactions):
        """Train on the interactions; the items that have none are cold."""
        keras.utils.set_random_seed(self.seed)
        n = dataset.n_items
        query = QueryTower(
            n, self.dim, half_life=self.half_life, dropout=self.dropout, seed=self.seed
        )
        fusion = LateFusion(self.dim) if self.content else None
        self.model = TwoTower(
            query,
            CandidateTower(n, self.dim, fusion=fusion, seed=self.seed),
            counts=np.bincount(interactions["item"], minlength=n),
            content=self.content,
            history_content=tuple(self.content),
        )
        self.model.compile(keras.optimizers.AdamW(0.003, weight_decay=0.1), jit_compile=True)
        data = next_items_data(
            dataset,
            interactions,
            history_length=self.history_length,
            n_targets=self.n_targets,
            batch_size=128,
            seed=self.seed,
            passes=10,
        )
        self.model.fit(data, epochs=self.epochs, shuffle=False, verbose=0)
        self.histories = histories(dataset, interactions, length=self.history_length)
        return self

    def score(self, users):
        """Return the scores of all items, shape `(len(users), n_items)`."""
        return self.model.scores({"history": self.histories[users]})


def warm_two_tower():
    """Return the contender for items with a past: it has no content."""
    options = grid(dim=[64, 128], epochs=[8, 12])
    return Contender("two-tower", "mmrec_tf", TwoTowerRecommender, options, SEEDS)


def cold_two_tower(facts, texts):
    """Return the contender for items without a past; see `ours.cold_baselines`."""
    # The order of a history says nothing here: half of the films that it would tell are gone.
    create = functools.partial(_cold, {"facts": facts, "titles": texts})
    options = grid(titles=[0.3, 1.0, 3.0], epochs=[3, 5])
    return Contender("two-tower: titles, genres, years", "mmrec_tf", create, options, SEEDS)


def _cold(content, *, titles, epochs, seed):
    return TwoTowerRecommender(
        content, epochs=epochs, half_life=1e5, scale={"titles": titles}, seed=seed
    )
