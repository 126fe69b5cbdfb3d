"""Models of other libraries, each with `fit(dataset, interactions)` and `score(users)`.

They get the same interactions as ours, every one a positive of strength 1, and one thread each.
"""

import functools

import numpy as np
from scipy.sparse import csr_matrix, eye, hstack

from benchmarks.protocol import SEED, Contender, grid


def warm_peers(facts):
    """Return the contenders for items with a past; `facts` as for `cold_baselines`."""
    import cornac.models
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

    neighbours = [50, 100, 200, 500, 1000]
    return [
        Contender(
            "ALS",
            "implicit",
            ImplicitALS,
            grid(factors=[64, 128], regularization=[5, 10, 20], alpha=[1.1, 1.25, 1.5]),
        ),
        Contender(
            "item-kNN: cosine",
            "implicit",
            functools.partial(ImplicitKNN, CosineRecommender),
            grid(K=neighbours),
        ),
        Contender(
            "item-kNN: BM25",
            "implicit",
            functools.partial(ImplicitKNN, BM25Recommender),
            grid(K=neighbours, B=[0.25, 0.5, 0.75, 1.0]),
        ),
        Contender(
            "EASE",
            "cornac",
            functools.partial(Cornac, cornac.models.EASE, verbose=False),
            grid(lamb=[50, 100, 200, 500, 1000], posB=[True, False]),
        ),
        Contender(
            "BPR",
            "cornac",
            functools.partial(Cornac, cornac.models.BPR, num_threads=1),
            grid(k=[64], max_iter=[200, 400], learning_rate=[0.03, 0.05], lambda_reg=[0.01, 0.02]),
        ),
        Contender(
            "WARP, hybrid: genres, years",
            "lightfm-next",
            functools.partial(LightFMHybrid, facts),
            grid(ids=[True], no_components=[32, 64], epochs=[10, 20, 40]),
        ),
    ]


def cold_peers(facts):
    """Return the contenders for items without a past; `facts` as for `cold_baselines`."""
    return [
        Contender(
            "WARP, hybrid: genres, years",
            "lightfm-next",
            functools.partial(LightFMHybrid, facts),
            grid(ids=[True, False], no_components=[32, 64], epochs=[3, 5, 10, 20]),
        ),
    ]


class ImplicitALS:
    """Alternating least squares of implicit, whose confidence is `alpha`; ours is `1 + alpha`."""

    def __init__(self, **options):
        self.options = options

    def fit(self, dataset, interactions):
        """Train on the interactions."""
        from implicit.als import AlternatingLeastSquares

        self.model = AlternatingLeastSquares(random_state=SEED, num_threads=1, **self.options)
        self.model.fit(_matrix(dataset, interactions), show_progress=False)
        return self

    def score(self, users):
        """Return float32 scores of shape `(n, n_items)`."""
        return self.model.user_factors[users] @ self.model.item_factors.T


class ImplicitKNN:
    """An item-kNN of the library implicit."""

    def __init__(self, kind, **options):
        self.kind, self.options = kind, options

    def fit(self, dataset, interactions):
        """Train on the interactions."""
        self.history = _matrix(dataset, interactions)
        self.model = self.kind(num_threads=1, **self.options)
        self.model.fit(self.history, show_progress=False)
        return self

    def score(self, users):
        """Return scores of shape `(n, n_items)`."""
        return (self.history[users] @ self.model.similarity).toarray()


class Cornac:
    """A model of the library cornac, which numbers the users and items of training itself."""

    def __init__(self, kind, **options):
        self.kind, self.options = kind, options

    def fit(self, dataset, interactions):
        """Train on the interactions."""
        import cornac.data

        triples = [(user, item, 1.0) for user, item in interactions[["user", "item"]].to_numpy()]
        known = cornac.data.Dataset.from_uir(triples, seed=SEED)
        self.n_items = dataset.n_items
        self.items = np.fromiter(known.iid_map, int)
        self.user_of = known.uid_map
        self.model = self.kind(seed=SEED, **self.options).fit(known)
        return self

    def score(self, users):
        """Return scores of shape `(n, n_items)`, -inf for items without an interaction."""
        scores = np.full((len(users), self.n_items), -np.inf)
        for row, user in enumerate(users):
            scores[row, self.items] = np.ravel(self.model.score(self.user_of[user]))
        return scores


class LightFMHybrid:
    """LightFM: an item's vector is the sum of those of its facts and, perhaps, of its id's.

    As for our models, items without an interaction are nobody's negatives; their id adds nothing.
    """

    def __init__(self, facts, *, ids, no_components, epochs):
        self.facts, self.ids, self.epochs = csr_matrix(facts), ids, epochs
        self.no_components = no_components

    def fit(self, dataset, interactions):
        """Train on the interactions."""
        from lightfm import LightFM

        history = _matrix(dataset, interactions)
        warm = np.flatnonzero(history.sum(axis=0))
        ids = eye(dataset.n_items, format="csr")[:, warm] if self.ids else None
        features = hstack([self.facts] + [ids] * self.ids, format="csr", dtype=np.float32)
        self.model = LightFM(self.no_components, loss="warp", random_state=SEED)
        self.model.fit(
            history[:, warm].tocoo(),
            item_features=features[warm],
            epochs=self.epochs,
            num_threads=1,
        )
        item_biases, item_vectors = self.model.get_item_representations(features)
        _, user_vectors = self.model.get_user_representations()
        self.scores = user_vectors @ item_vectors.T + item_biases
        return self

    def score(self, users):
        """Return float32 scores of shape `(n, n_items)`."""
        return self.scores[users]


def _matrix(dataset, interactions):
    rows = (interactions["user"], interactions["item"])
    shape = (dataset.n_users, dataset.n_items)
    return csr_matrix((np.ones(len(interactions), np.float32), rows), shape=shape)
