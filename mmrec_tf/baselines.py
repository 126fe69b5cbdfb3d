"""What a new model must beat: eight recommenders of a few lines each, with one interface.

Every row of interactions is a positive; a rating plays no part. A user's history holds each item
with a strength, the sum of its rows' `weight`, 1 a row where there is no such column. Popularity,
implicit ALS and the content centroid use the strengths, so that a pair that stands twice counts
twice. The others ask only whether a pair is there.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, vstack

from mmrec_tf._random import random_uniform
from mmrec_tf.evaluation import top_k

__all__ = [
    "EASE",
    "ContentCentroid",
    "ImplicitALS",
    "ItemKNN",
    "Popularity",
    "Random",
    "Recommender",
    "RidgePerUser",
    "UserKNN",
]

_EASE_MAX_ITEMS = 30_000
# Numbers in one piece of work: 64 MB of float64.
_PIECE = 2**23


class Recommender:
    """What all baselines share: a history for each user, from which that user is scored.

    A subclass defines `_train(history, interactions)`, and `_score(users, history)` from these
    users and their rows of `self.history`.

    Attributes:
        history: SciPy sparse array of shape `(n_users, n_items)`, the strengths of what `fit` and
            `fold_in` were given; None before `fit`.
    """

    history = None

    def fit(self, dataset, interactions):
        """Train on `interactions` alone, and take them as the users' histories.

        Args:
            dataset: `Dataset`; only its numbers of users and items are used.
            interactions: data frame with the columns `user`, `item`, `timestamp`, and perhaps
                `weight`, as `split.train`.

        Returns:
            The recommender itself.

        Raises:
            ValueError: if there are no interactions, one has a row number outside the data set
                or a weight that is not positive, or the features have another number of items.
        """
        if not len(interactions):
            raise ValueError("Expected at least one interaction to train on. Received: none.")
        history = _strengths(interactions, (dataset.n_users, dataset.n_items))
        self._train(history, interactions)
        self.history = history
        return self

    def fold_in(self, interactions):
        """Add rows to the histories from which users are scored, without training again.

        So a user whom training did not see is served, as in `split.given`, and what a user did
        since. Nobody else's scores change.

        Args:
            interactions: data frame as in `fit`.

        Returns:
            The recommender itself.
        """
        self._check_fitted()
        self.history = self.history + _strengths(interactions, self.history.shape)
        return self

    def score(self, users):
        """Score every item for some users; larger is better.

        Args:
            users: int array of shape `(n,)`, row numbers.

        Returns:
            float32 array of shape `(n, n_items)`. For a user without a history all scores are 0,
            but for `Random` and `Popularity`, which do not look at histories.

        Raises:
            IndexError: if a user is unknown.
            RuntimeError: before `fit`.
        """
        users = self._known(users)
        return np.asarray(self._score(users, self.history[users]), np.float32)

    def recommend(self, users, k, *, exclude_seen=True, candidates=None, seed=0):
        """Return each user's best k items.

        Args:
            users: int array of shape `(n,)`, row numbers.
            k: number of items.
            exclude_seen: whether to leave out the items of the user's history.
            candidates: int array of the items to choose from; by default all.
            seed: int; items of equal score are ordered at random by it.

        Returns:
            Item row numbers and their scores, two arrays of shape `(n, k)`; -1 and -inf where
            no item is left. See `mmrec_tf.evaluation.top_k`.
        """
        users = self._known(users)
        # In pieces, for the scores of all users at once may not fit into memory.
        step = max(1, _PIECE // self.history.shape[1])
        lists = []
        for start in range(0, max(1, len(users)), step):
            piece = users[start : start + step]
            scores = self.score(piece)
            seen = self.history[piece] if exclude_seen else None
            lists.append(
                top_k(scores, k, users=piece, seed=seed, exclude=seen, candidates=candidates)
            )
        return tuple(np.concatenate(parts) for parts in zip(*lists, strict=True))

    def _known(self, users):
        """Return `users` as an int64 array, or raise an error that says what is wrong with them."""
        self._check_fitted()
        users = np.asarray(users)
        if users.ndim != 1 or (users.size and users.dtype.kind not in "iu"):
            raise ValueError(
                "Expected `users` to be integers of shape (n,). "
                f"Received: {users.dtype} of shape {users.shape}."
            )
        users = users.astype(np.int64)
        outside = users[(users < 0) | (users >= self.history.shape[0])]
        if outside.size:
            raise IndexError(
                f"Expected users in [0, {self.history.shape[0]}). Received: {outside[0]}."
            )
        return users

    def _check_fitted(self):
        if self.history is None:
            raise RuntimeError(
                f"Expected {type(self).__name__} to be fitted. Call fit(dataset, interactions)."
            )


class Random(Recommender):
    """Score by a hash of seed, user and item: the floor under every measurement.

    Scores are uniform in [0, 1] and depend neither on the data nor on the batch.

    Args:
        seed: non-negative int.
    """

    def __init__(self, *, seed=0):
        _check_not_negative(seed=seed)
        self.seed = seed

    def _train(self, history, interactions):
        pass

    def _score(self, users, history):
        return random_uniform(self.seed, users[:, None], np.arange(history.shape[1]))


class Popularity(Recommender):
    r"""Score an item by its interactions, the same for everybody.

    .. math:: s_i = \sum_{r \in R_i} w_r \, 2^{-(t_\text{last} - t_r) / h}

    over the item's rows :math:`R_i` of weight :math:`w_r` and time :math:`t_r`.

    Args:
        half_life: seconds :math:`h` after which an interaction counts half; None lets none age.

    What is folded in does not change the scores.

    Example:

    >>> import pandas as pd
    >>> from mmrec_tf import Dataset
    >>> log = {"user_id": list("aabb"), "item_id": list("xyxz"), "timestamp": [0, 60, 0, 120]}
    >>> shop = Dataset.from_log("shop", pd.DataFrame(log))
    >>> Popularity().fit(shop, shop.interactions).score([0])
    array([[2., 1., 1.]], dtype=float32)
    >>> Popularity(half_life=60).fit(shop, shop.interactions).score([0])
    array([[0.5, 0.5, 1. ]], dtype=float32)
    """

    def __init__(self, *, half_life=None):
        if half_life is not None:
            _check_positive(half_life=half_life)
        self.half_life = half_life

    def _train(self, history, interactions):
        weights = _weights(interactions)
        if self.half_life is not None:
            times = interactions["timestamp"].to_numpy(np.float64)
            weights = weights * 0.5 ** ((times.max() - times) / self.half_life)
        items = interactions["item"].to_numpy()
        self._scores = np.bincount(items, weights, minlength=history.shape[1])

    def _score(self, users, history):
        return np.tile(self._scores.astype(np.float32), (len(users), 1))


class ItemKNN(Recommender):
    r"""Score an item by its similarity to the items of the user's history.

    .. math:: s_{ui} = \sum_{j \in H_u,\; i \in N(j)} c_{ij}, \qquad
        c_{ij} = \frac{n_{ij}}{\sqrt{n_i \, n_j} + \beta}

    where :math:`n_{ij}` users have both items, :math:`n_i` have item i, and :math:`N(j)` are the
    items most similar to item j, itself apart.

    Args:
        neighbours: size of :math:`N(j)`; of equally similar items, the lower row numbers.
        shrinkage: :math:`\beta`, in users: the larger, the less a cosine counts that rests on few.

    References:
        M. Deshpande, G. Karypis: Item-based top-N recommendation algorithms. ACM Transactions on
        Information Systems 22(1), 2004, https://doi.org/10.1145/963770.963776
    """

    def __init__(self, *, neighbours=200, shrinkage=3.0):
        _check_positive(neighbours=neighbours)
        _check_not_negative(shrinkage=shrinkage)
        self.neighbours, self.shrinkage = neighbours, shrinkage

    def _train(self, history, interactions):
        users_of = history.sign().T.tocsr()
        items = np.arange(users_of.shape[0])
        self._similarity = _neighbours(users_of, users_of, items, self.neighbours, self.shrinkage)

    def _score(self, users, history):
        return (history.sign() @ self._similarity).toarray()


class UserKNN(Recommender):
    r"""Score an item by the similarity of the users who have it to the user.

    .. math:: s_{ui} = \sum_{v \in N(u),\; i \in H_v} c_{uv}, \qquad
        c_{uv} = \frac{n_{uv}}{\sqrt{n_u \, n_v} + \beta}

    where :math:`n_{uv}` items are in both histories, :math:`n_u` are in user u's, and
    :math:`N(u)` are the users of training whose histories are most similar to u's, u apart.

    Args:
        neighbours: size of :math:`N(u)`; of equally similar users, the lower row numbers.
        shrinkage: :math:`\beta`, in items: the larger, the less a cosine counts that rests on few.

    References:
        P. Resnick, N. Iacovou, M. Suchak, P. Bergstrom, J. Riedl: GroupLens: an open architecture
        for collaborative filtering of netnews. CSCW 1994, https://doi.org/10.1145/192844.192905
    """

    def __init__(self, *, neighbours=50, shrinkage=50.0):
        _check_positive(neighbours=neighbours)
        _check_not_negative(shrinkage=shrinkage)
        self.neighbours, self.shrinkage = neighbours, shrinkage

    def _train(self, history, interactions):
        self._training = history.sign()

    def _score(self, users, history):
        similarity = _neighbours(
            history.sign(), self._training, users, self.neighbours, self.shrinkage
        )
        return (similarity @ self._training).toarray()


class EASE(Recommender):
    r"""Score an item by a linear regression on the other items of the history, in closed form.

    .. math:: \min_B \lVert X - X B \rVert_F^2 + \lambda \lVert B \rVert_F^2, \quad
        \operatorname{diag} B = 0 \qquad\Longrightarrow\qquad
        B_{ij} = -\frac{P_{ij}}{P_{jj}} \;(i \ne j), \quad P = (X^\top X + \lambda I)^{-1}

    for the 0/1 matrix :math:`X` of users and items; scores are :math:`X B`.

    Training holds three float64 matrices of n × n for n items with an interaction: 24 MB for 1,000
    items, 2.4 GB for 10,000; its time grows with n³.

    Args:
        regularization: :math:`\lambda`, in users; usually from 50 to 1,000.

    Raises:
        ValueError: from `fit`, if more than 30,000 items have an interaction.

    References:
        H. Steck: Embarrassingly shallow autoencoders for sparse data. WWW 2019,
        https://doi.org/10.1145/3308558.3313710, arXiv:1905.03375
    """

    def __init__(self, *, regularization=200.0):
        _check_positive(regularization=regularization)
        self.regularization = regularization

    def _train(self, history, interactions):
        warm = _items_with_an_interaction(history)
        if len(warm) > _EASE_MAX_ITEMS:
            raise ValueError(
                f"EASE inverts a matrix of items × items, {len(warm) ** 2 * 8 / 1e9:.0f} GB, and "
                f"is for up to {_EASE_MAX_ITEMS:,} items. Received: {len(warm):,}. "
                "Use ItemKNN or ImplicitALS, or keep only the most popular items."
            )
        x = history.sign()[:, warm]
        gram = (x.T @ x).toarray()
        gram[np.diag_indices_from(gram)] += self.regularization
        inverse = cho_solve(cho_factor(gram, overwrite_a=True), np.eye(len(warm)), overwrite_b=True)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0)
        self._warm, self._weights = warm, weights

    def _score(self, users, history):
        scores = np.zeros(history.shape)
        scores[:, self._warm] = history.sign()[:, self._warm] @ self._weights
        return scores


class ImplicitALS(Recommender):
    r"""Score an item by the product of two vectors, found by alternating least squares.

    .. math:: \min_{x, y} \sum_{u, i} c_{ui} (p_{ui} - x_u \cdot y_i)^2
        + \lambda \Big(\sum_u \lVert x_u \rVert^2 + \sum_i \lVert y_i \rVert^2\Big)

    over all pairs, where :math:`p_{ui}` is 1 for a pair in the history and else 0, and the
    confidence :math:`c_{ui}` is :math:`1 + \alpha` times the pair's strength. Each half step
    solves for all users' vectors exactly, or for all items'. Scoring solves for the user's vector
    once more, from the history as it is then.

    Args:
        factors: length of the vectors.
        regularization: :math:`\lambda`.
        alpha: :math:`\alpha`, confidence that a strength of 1 adds.
        iterations: number of pairs of half steps.
        seed: non-negative int, of the vectors to begin with.

    References:
        Y. Hu, Y. Koren, C. Volinsky: Collaborative filtering for implicit feedback datasets. ICDM
        2008, https://doi.org/10.1109/ICDM.2008.22
    """

    def __init__(self, *, factors=64, regularization=10.0, alpha=1.0, iterations=15, seed=0):
        _check_positive(factors=factors, regularization=regularization, alpha=alpha)
        _check_positive(iterations=iterations)
        _check_not_negative(seed=seed)
        self.factors, self.regularization, self.alpha = factors, regularization, alpha
        self.iterations, self.seed = iterations, seed

    def _train(self, history, interactions):
        users_of = history.T.tocsr()
        rows = np.arange(users_of.shape[0])[:, None]
        item_vectors = random_uniform(self.seed, rows, np.arange(self.factors)) - 0.5
        item_vectors /= self.factors
        for _ in range(self.iterations):
            item_vectors = self._solve(users_of, self._solve(history, item_vectors))
        self.item_vectors = item_vectors

    def _score(self, users, history):
        return self._solve(history, self.item_vectors) @ self.item_vectors.T

    def _solve(self, history, fixed):
        """Return the vectors, one a row of `history`, that are best for the other side's."""
        gram = fixed.T @ fixed + self.regularization * np.eye(self.factors)
        vectors = np.zeros((history.shape[0], self.factors))
        step = max(1, _PIECE // self.factors**2)
        for start in range(0, len(vectors), step):
            rows = range(start, min(start + step, len(vectors)))
            left = np.tile(gram, (len(rows), 1, 1))
            right = np.zeros((len(rows), self.factors, 1))
            for n, row in enumerate(rows):
                have = slice(history.indptr[row], history.indptr[row + 1])
                others, extra = fixed[history.indices[have]], self.alpha * history.data[have]
                left[n] += (others.T * extra) @ others
                right[n, :, 0] = (1 + extra) @ others
            vectors[rows] = np.linalg.solve(left, right)[..., 0]
        return vectors


class RidgePerUser(Recommender):
    r"""Score an item, cold ones too, by each user's own linear regression on item features.

    .. math:: w_u = \arg\min_w \sum_{i \in T} (p_{ui} - x_i \cdot w)^2 + \lambda \lVert w \rVert^2,
        \qquad s_{ui} = x_i \cdot w_u

    over the items :math:`T` that have an interaction in training; :math:`p_{ui}` is 1 for those
    of the user's history, else 0. Other items are nobody's negatives: that they have no
    interaction may mean that they are new. Folded in, they do not change a score.

    Args:
        features: array of shape `(n_items, dim)`. A column of ones gives an intercept.
        regularization: :math:`\lambda`.

    References:
        A. E. Hoerl, R. W. Kennard: Ridge regression: biased estimation for nonorthogonal problems.
        Technometrics 12(1), 1970, https://doi.org/10.1080/00401706.1970.10488634
    """

    def __init__(self, features, *, regularization=30.0):
        _check_positive(regularization=regularization)
        self.features, self.regularization = _features(features), regularization

    def _train(self, history, interactions):
        _check_rows(self.features, history)
        self._warm = _items_with_an_interaction(history)
        x = self.features[self._warm]
        gram = x.T @ x + self.regularization * np.eye(x.shape[1])
        self._solution = np.linalg.solve(gram, x.T).T

    def _score(self, users, history):
        return (history.sign()[:, self._warm] @ self._solution) @ self.features.T


class ContentCentroid(Recommender):
    r"""Score an item, cold ones too, by its cosine to the mean of the user's items' directions.

    .. math:: s_{ui} = \cos\Big(x_i, \sum_{j \in H_u} r_{uj} \frac{x_j}{\lVert x_j \rVert}\Big)

    where :math:`r_{uj}` are the strengths. Up to a factor that is the user's, this is the mean
    cosine to the items of the history.

    Args:
        features: array of shape `(n_items, dim)`, no row all zeros. What all items share adds the
            same to every cosine: subtract the column means first.

    References:
        M. J. Pazzani, D. Billsus: Content-based recommendation systems. The Adaptive Web, 2007,
        https://doi.org/10.1007/978-3-540-72079-9_10
    """

    def __init__(self, features):
        features = _features(features)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        if not lengths.all():
            raise ValueError(
                "Expected every item's features to have a direction. "
                f"Received: row {lengths.argmin()} is all zeros."
            )
        self.directions = features / lengths

    def _train(self, history, interactions):
        _check_rows(self.directions, history)

    def _score(self, users, history):
        centroids = history @ self.directions
        # A centroid without a direction, of an empty history, prefers nothing.
        lengths = np.linalg.norm(centroids, axis=1, keepdims=True)
        return centroids / np.where(lengths > 0, lengths, 1) @ self.directions.T


def _strengths(interactions, shape):
    """Return the sums of the rows' weights, a float64 CSR array of shape (n_users, n_items)."""
    rows = [interactions[column].to_numpy() for column in ("user", "item")]
    for column, values, size in zip(("user", "item"), rows, shape, strict=True):
        outside = np.flatnonzero((values < 0) | (values >= size))
        if outside.size:
            raise ValueError(
                f"Expected `interactions.{column}` in [0, {size}). "
                f"Received: {values[outside[0]]} in row {interactions.index[outside[0]]}."
            )
    return csr_array((_weights(interactions), rows), shape=shape)


def _weights(interactions):
    if "weight" not in interactions:
        return np.ones(len(interactions))
    weights = interactions["weight"].to_numpy(np.float64)
    faulty = np.flatnonzero(~((weights > 0) & (weights < np.inf)))
    if faulty.size:
        raise ValueError(
            "Expected `interactions.weight` to be positive: leave out what is no positive. "
            f"Received: {weights[faulty[0]]} in row {interactions.index[faulty[0]]}."
        )
    return weights


def _items_with_an_interaction(history):
    return np.flatnonzero(history.sum(axis=0))


def _neighbours(rows, others, themselves, n, shrinkage):
    """Return the shrunken cosines of 0/1 rows with the n most similar ones of `others`.

    Args:
        rows: CSR array of shape `(n_rows, dim)`.
        others: CSR array of shape `(n_others, dim)`.
        themselves: int array of shape `(n_rows,)`; the row of `others` that is a row itself and
            no neighbour.
        n: number of neighbours; rows that share nothing are none.
        shrinkage: what is added to the denominator.

    Returns:
        CSR array of shape `(n_rows, n_others)`.
    """
    sizes, transposed, pieces = others.sum(axis=1), others.T.tocsr(), []
    step = max(1, _PIECE // others.shape[0])
    for start in range(0, max(1, rows.shape[0]), step):
        piece = rows[start : start + step]
        common = (piece @ transposed).toarray()
        common[np.arange(len(common)), themselves[start : start + step]] = 0
        product = np.sqrt(piece.sum(axis=1)[:, None] * sizes)
        cosine = common / np.maximum(product + shrinkage, 1)
        # Stable, so that the choice among equals is the same on every machine.
        order = np.argsort(-cosine, axis=1, kind="stable")
        np.put_along_axis(cosine, order[:, n:], 0, axis=1)
        pieces.append(csr_array(cosine))
    return vstack(pieces, format="csr")


def _features(features):
    features = np.asarray(features, np.float64)
    if features.ndim != 2:
        raise ValueError(
            f"Expected `features` of shape (n_items, dim). Received: {features.shape}."
        )
    faulty = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if faulty.size:
        raise ValueError(
            f"Expected `features` to be finite. Received: a NaN or an infinity in row {faulty[0]}."
        )
    return features


def _check_rows(features, history):
    if len(features) != history.shape[1]:
        raise ValueError(
            f"Expected `features` of {history.shape[1]} items. Received: {len(features)} rows."
        )


def _check_positive(**options):
    for name, value in options.items():
        if not value > 0:
            raise ValueError(f"Expected `{name}` to be positive. Received: {value!r}.")


def _check_not_negative(**options):
    for name, value in options.items():
        if not value >= 0:
            raise ValueError(f"Expected `{name}` of at least 0. Received: {value!r}.")
