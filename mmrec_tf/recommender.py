"""The two-tower model as the baselines are: trained with `fit`, asked with `score`."""

import keras
import numpy as np

from mmrec_tf.fusion import LateFusion
from mmrec_tf.sequences import histories, next_items_data
from mmrec_tf.two_tower import CandidateTower, QueryTower, TwoTower

__all__ = ["TwoTowerRecommender"]


class TwoTowerRecommender:
    """A `TwoTower` on histories, with content that both towers read or none.

    It has what `evaluate` and the baselines' users need, and no more: to build towers in another
    way, to watch the training or to stop it early, use `TwoTower` itself. Items without an
    interaction in `fit` are known by their content alone.

    Args:
        content: dict from a modality's name to an array of shape `(n_items, n_columns)`. Rows of
            length about one are a good start; longer ones weigh more beside what is learned of
            each item.
        dim: length of the towers' vectors.
        passes: number of passes over the users.
        half_life: see `QueryTower`; 1e5 where the order of a history says nothing.
        dropout: see `QueryTower`.
        history_length: number of a user's latest items that are looked at.
        n_targets: number of items after the history that a pass asks for.
        batch_size: users a step; at most the number of users with two interactions.
        learning_rate: of AdamW, whose weight decay is 0.1.
        seed: int; the same twice gives the same model, on the same machine.

    Attributes:
        model: the `TwoTower`; None before `fit`.

    Example:

    >>> import mmrec_tf as mm
    >>> shop = mm.load_catalog(n_items=100, n_users=200)
    >>> model = TwoTowerRecommender(passes=1, batch_size=64).fit(shop, shop.interactions)
    >>> model.score(np.array([3, 5])).shape
    (2, 100)
    """

    def __init__(
        self,
        content=None,
        *,
        dim=64,
        passes=100,
        half_life=20.0,
        dropout=0.5,
        history_length=200,
        n_targets=30,
        batch_size=128,
        learning_rate=0.003,
        seed=0,
    ):
        self.content = {
            name: np.asarray(values, np.float32) for name, values in (content or {}).items()
        }
        self.dim, self.passes, self.half_life, self.dropout = dim, passes, half_life, dropout
        self.history_length, self.n_targets = history_length, n_targets
        self.batch_size, self.learning_rate, self.seed = batch_size, learning_rate, seed
        self.model = None

    def fit(self, dataset, interactions):
        """Train on `interactions` alone, from a new start, and take them as the users' histories.

        Args:
            dataset: `Dataset`; only its numbers of users and items are used.
            interactions: data frame with the columns `user`, `item` and `timestamp`, as
                `split.train`.

        Returns:
            The recommender itself.

        Raises:
            ValueError: if content has another number of items, or `batch_size` is larger than the
                number of users with two interactions.
        """
        keras.utils.set_random_seed(self.seed)
        n = dataset.n_items
        query_tower = QueryTower(
            n, self.dim, half_life=self.half_life, dropout=self.dropout, seed=self.seed
        )
        fusion = LateFusion(self.dim) if self.content else None
        model = TwoTower(
            query_tower,
            CandidateTower(n, self.dim, fusion=fusion, seed=self.seed),
            counts=np.bincount(interactions["item"], minlength=n),
            content=self.content,
            history_content=tuple(self.content),
        )
        model.compile(
            keras.optimizers.AdamW(self.learning_rate, weight_decay=0.1), jit_compile=True
        )
        stream = next_items_data(
            dataset,
            interactions,
            history_length=self.history_length,
            n_targets=self.n_targets,
            batch_size=self.batch_size,
            seed=self.seed,
            passes=self.passes,
        )
        model.fit(stream, shuffle=False, verbose=0)
        self.model = model
        self._histories = histories(dataset, interactions, length=self.history_length)
        return self

    def score(self, users):
        """Score every item for some users; larger is better.

        Args:
            users: int array of shape `(n,)`, row numbers.

        Returns:
            float32 array of shape `(n, n_items)`.

        Raises:
            RuntimeError: before `fit`.
        """
        if self.model is None:
            raise RuntimeError("Expected a trained model. Call `fit` first.")
        return self.model.scores({"history": self._histories[users]})
