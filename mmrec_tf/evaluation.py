"""Rank all items for every user, and say how good the lists are and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse

from mmrec_tf import metrics
from mmrec_tf._random import random_bits

__all__ = [
    "Evaluation",
    "Interval",
    "PairedDifference",
    "bootstrap_interval",
    "evaluate",
    "paired_bootstrap",
    "top_k",
    "two_sample_bootstrap",
    "warm_and_cold",
]

# Sets the numbers that break ties apart from all else that is drawn from the same seed.
_TIES = 1
# Scores that are ranked at a time: 4 MB of float32, which stays in a processor's cache.
_PIECE = 2**20
# Scores that are asked for at a time: 128 MB of float32.
_BATCH = 2**25

_ACCURACY = {
    "recall": metrics.recall_at_k,
    "ndcg": metrics.ndcg_at_k,
    "mrr": metrics.mrr_at_k,
    "hit_rate": metrics.hit_rate_at_k,
    "map": metrics.map_at_k,
}


def top_k(scores, k, *, users=None, seed=0, exclude=None, candidates=None):
    """Return each user's k best items, the best first.

    Equal scores are put in a random order that depends on the seed, the user and the item alone:
    it is the same in any batch, whoever else is in it, and it favours no item. Were ties broken
    by position, a model could win by the order of the catalogue.

    Args:
        scores: array of shape `(n, n_items)`, larger is better. -inf stands for an item that must
            not be recommended.
        k: int of at least 1.
        users: int array of shape `(n,)`, the users' row numbers; by default 0, 1, 2, ….
        seed: non-negative int; another seed breaks ties in another way.
        exclude: SciPy CSR matrix of shape `(n, n_items)`; its nonzeros are not recommended, such
            as what the user has seen already.
        candidates: int array of the only items to be recommended; by default all.

    Returns:
        `(ids, values)`: int32 array of shape `(n, k)` and the scores, an array of the same shape.
        Where fewer than k items are left, the tail is -1 and -inf.

    Raises:
        ValueError: if a candidate's score is NaN or +inf, naming user and item; if shapes do not
            fit; if `candidates` is empty or holds an item twice or an unknown one.

    Example:

    >>> ids, values = top_k(np.array([[0.1, 0.9, 0.5], [0.2, -np.inf, 0.0]]), 3)
    >>> ids
    array([[ 1,  2,  0],
           [ 0,  2, -1]], dtype=int32)
    >>> values
    array([[ 0.9,  0.5,  0.1],
           [ 0.2,  0. , -inf]])
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.dtype.kind not in "fiu":
        raise ValueError(
            "Expected `scores` to be numbers of shape (n, n_items). "
            f"Received: {scores.dtype} of shape {scores.shape}."
        )
    if scores.dtype.kind != "f":
        scores = scores.astype(np.float64)
    if not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"Expected `k` to be an int of at least 1. Received: {k!r}.")
    n, n_items = scores.shape
    if not n_items:
        raise ValueError("Expected `scores` of at least one item. Received: none.")
    users = np.arange(n) if users is None else np.asarray(users)
    if users.shape != (n,) or users.dtype.kind not in "iu":
        raise ValueError(
            f"Expected `users` to be an int array of shape ({n},). "
            f"Received: {users.dtype} of shape {users.shape}."
        )
    if exclude is not None:
        exclude = scipy.sparse.csr_array(exclude)
        if exclude.shape != scores.shape:
            raise ValueError(
                f"Expected `exclude` of shape {scores.shape}. Received: {exclude.shape}."
            )
    items = _candidates(candidates, n_items)
    column = np.full(n_items, -1)
    column[items] = np.arange(len(items))

    ids = np.full((n, k), -1, np.int32)
    values = np.full((n, k), -np.inf, scores.dtype)
    step = max(1, _PIECE // n_items)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        piece = scores[rows].copy() if candidates is None else scores[rows][:, items]
        _check_scores(piece, users[rows], items)
        if exclude is not None:
            out = exclude[rows].tocoo()
            gone = (out.data != 0) & (column[out.col] >= 0)
            piece[out.row[gone], column[out.col[gone]]] = -np.inf
        best = _best(piece, min(k, len(items)), users[rows], items, seed)
        value = np.take_along_axis(piece, best, axis=1)
        ids[rows, : best.shape[1]] = np.where(value > -np.inf, items[best], -1)
        values[rows, : best.shape[1]] = value
    return ids, values


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """What `evaluate` found out; `print` shows the means, `summary()` how sure they are.

    Args:
        users: int array of shape `(n,)`, the row numbers of the users with a positive.
        topk: int32 array of shape `(n, K)`, what was recommended to them, -1 for nothing.
        per_user: data frame indexed by `users` with a column a metric and k, such as
            "recall@10".
        coverage: dict from k to the share of the candidates that are in at least one list.
        n_candidates: number of items that could have been recommended.
    """

    users: np.ndarray
    topk: np.ndarray
    per_user: pd.DataFrame
    coverage: Mapping[int, float]
    n_candidates: int

    def summary(self, *, confidence=0.95, n_resamples=1000, seed=0):
        """Return the mean over users and its bootstrap interval for every metric.

        Args:
            confidence: see `bootstrap_interval`.
            n_resamples: see `bootstrap_interval`.
            seed: see `bootstrap_interval`.

        Returns:
            Data frame indexed by metric, with the columns "mean", "low" and "high". Novelty and
            diversity are averaged over the users whose lists are long enough to have one; the
            interval is NaN with fewer than two such users.
        """
        rows = {}
        for name, values in self.per_user.items():
            values = values.dropna()
            rows[name] = (
                bootstrap_interval(
                    values, confidence=confidence, n_resamples=n_resamples, seed=seed
                )
                if len(values) > 1
                else Interval(values.mean(), np.nan, np.nan)
            )
        return pd.DataFrame.from_dict(rows, orient="index", columns=Interval._fields)

    def __repr__(self):
        means = self.per_user.mean()
        names = dict.fromkeys(name.partition("@")[0] for name in means.index)
        table = {name: [means[f"{name}@{k}"] for k in self.coverage] for name in names}
        table["coverage"] = list(self.coverage.values())
        lines = [f"Evaluation: {len(self.users):,} users, {self.n_candidates:,} candidates"]
        lines.append(" " * 11 + "".join(f"{f'@{k}':>9}" for k in self.coverage))
        for name, row in table.items():
            lines.append(f"  {name:<9}" + "".join(f"{value:>9.4f}" for value in row))
        return "\n".join(lines)


def evaluate(
    score,
    dataset,
    test,
    *,
    seen,
    candidates=None,
    k=(10, 20),
    vectors=None,
    batch_size=1024,
    seed=0,
):
    """Rank all candidates for every user with a positive in `test`, and measure the lists.

    A user without a positive is skipped: what should have been recommended is unknown.

    Memory is bounded: a batch has at most 2**25 scores, 128 MB of float32, so with more than
    2**25 / `batch_size` items `score` is asked about fewer users at a time.

    Args:
        score: function from an int array of users, shape `(n,)`, to an array of scores, shape
            `(n, n_items)`, such as `model.score`; larger is better.
        dataset: `Dataset`; its numbers of users and items count.
        test: data frame of interactions with the columns `user` and `item`; its pairs are the
            positives, a repeated one counts once.
        seen: data frame of interactions, or a list of them, whose pairs are left out of the
            ranking, usually all that a model was trained on; None ranks everything.
        candidates: int array of the only items to be ranked, such as those that were on sale, or
            the cold ones; by default all.
        k: int, or several, the lengths of the lists.
        vectors: float array of shape `(n_items, dim)`, for `diversity_at_k`.
        batch_size: largest number of users that `score` is asked about at a time.
        seed: int; breaks ties, see `top_k`.

    Returns:
        `Evaluation`. Novelty is there if `seen` is given (an item counts as known to the users
        who have it there), diversity if `vectors` is.

    Raises:
        ValueError: if a positive is seen too or is no candidate, if `test` is empty, or if
            `score` returns another shape, NaN or +inf; the message names an example.

    Example:

    >>> from mmrec_tf import Dataset
    >>> log = {"user_id": list("aabcc"), "item_id": list("xyxyz"), "timestamp": range(5)}
    >>> shop = Dataset.from_log("shop", pd.DataFrame(log))
    >>> train, test = shop.interactions[:3], shop.interactions[3:]
    >>> counts = np.bincount(train["item"], minlength=shop.n_items)
    >>> def popularity(users):
    ...     return np.tile(counts, (len(users), 1))
    >>> evaluate(popularity, shop, test, seen=train, k=(1, 2))
    Evaluation: 1 users, 3 candidates
                      @1       @2
      recall      0.0000   0.5000
      ndcg        0.0000   0.3869
      mrr         0.0000   0.5000
      hit_rate    0.0000   1.0000
      map         0.0000   0.2500
      novelty     0.0000   0.2925
      coverage    0.3333   0.6667
    """
    positives = _pairs(test, dataset, "test")
    items = _candidates(candidates, dataset.n_items)
    _check_among(positives, items)
    if seen is not None:
        seen = _pairs(seen, dataset, "seen")
        _check_apart(positives, seen)
        counts = np.bincount(seen.indices, minlength=dataset.n_items)
        n_seen_users = np.count_nonzero(np.diff(seen.indptr))
    users = np.flatnonzero(np.diff(positives.indptr))
    if not users.size:
        raise ValueError("Expected `test` with at least one interaction. Received: none.")
    ks = np.atleast_1d(k).tolist()
    if not ks:
        raise ValueError("Expected `k` to be an int or at least one of them. Received: none.")
    if batch_size < 1:
        raise ValueError(f"Expected `batch_size` of at least 1. Received: {batch_size}.")

    topks, tables = [], []
    step = max(1, min(batch_size, _BATCH // dataset.n_items))
    for start in range(0, len(users), step):
        batch = users[start : start + step]
        scores = np.asarray(score(batch))
        if scores.shape != (len(batch), dataset.n_items):
            raise ValueError(
                f"Expected `score` to return shape {(len(batch), dataset.n_items)}, a row a user "
                f"and a column an item. Received: {scores.shape}."
            )
        topk, _ = top_k(
            scores,
            max(ks),
            users=batch,
            seed=seed,
            exclude=None if seen is None else seen[batch],
            candidates=candidates,
        )
        relevant = positives[batch]
        table = {}
        for at in ks:
            for name, metric in _ACCURACY.items():
                table[f"{name}@{at}"] = metric(topk, relevant, at)
            if seen is not None:
                table[f"novelty@{at}"] = metrics.novelty_at_k(
                    topk, counts, at, n_users=n_seen_users
                )
            if vectors is not None:
                table[f"diversity@{at}"] = metrics.diversity_at_k(topk, vectors, at)
        topks.append(topk)
        tables.append(pd.DataFrame(table, index=pd.Index(batch, name="user")))

    topk = np.concatenate(topks)
    share = dataset.n_items / len(items)
    coverage = {at: metrics.coverage_at_k(topk, at, n_items=dataset.n_items) * share for at in ks}
    return Evaluation(users, topk, pd.concat(tables), coverage, len(items))


class Interval(NamedTuple):
    """A mean and the bounds of its confidence interval."""

    mean: float
    low: float
    high: float


class PairedDifference(NamedTuple):
    """How much better a is than b.

    Args:
        mean: mean of a - b over users.
        low: lower bound of its confidence interval.
        high: upper bound of its confidence interval.
        share_better: share of the resamples in which a has the larger mean.
    """

    mean: float
    low: float
    high: float
    share_better: float


def bootstrap_interval(values, *, confidence=0.95, n_resamples=1000, seed=0):
    """Return the mean of one value a user and its percentile bootstrap interval.

    Users are drawn with replacement, as many as there are; the interval holds the central share
    `confidence` of the means of the resamples. It tells how much the mean would move with other
    users, not with another training run.

    Args:
        values: float array or Series of shape `(n_users,)`, n_users of at least 2, without NaN.
        confidence: share in (0, 1).
        n_resamples: int of at least 2.
        seed: int; another seed draws other resamples.

    Returns:
        `Interval(mean, low, high)`.

    Raises:
        ValueError: if there are fewer than two values or one is not finite.

    Example:

    >>> interval = bootstrap_interval([0.0, 0.5, 1.0, 0.5])
    >>> interval.mean, interval.low < 0.5 < interval.high
    (0.5, True)

    References:
        B. Efron: Bootstrap methods: another look at the jackknife. The Annals of Statistics 7(1),
        1979, https://doi.org/10.1214/aos/1176344552
    """
    interval, _ = _bootstrap([values], confidence, n_resamples, seed)
    return interval


def two_sample_bootstrap(a, b, *, confidence=0.95, n_resamples=1000, seed=0):
    """Compare two groups of users, as an A/B test does: resample each group by itself.

    Where both models were asked about the same users, `paired_bootstrap` knows more.

    Args:
        a: float array or Series with one value for each user of the one group.
        b: the same for the other group.
        confidence: see `bootstrap_interval`.
        n_resamples: see `bootstrap_interval`.
        seed: see `bootstrap_interval`.

    Returns:
        `Interval(mean, low, high)` of the mean of a minus the mean of b.

    Raises:
        ValueError: as `bootstrap_interval` does, for either group.

    Example:

    >>> difference = two_sample_bootstrap([3.0, 4.0, 5.0], [1.0, 2.0])
    >>> difference.mean, difference.low < 2.5 < difference.high
    (2.5, True)

    References:
        B. Efron, R. J. Tibshirani: An introduction to the bootstrap, chapter 8. Chapman & Hall,
        1993, https://doi.org/10.1007/978-1-4899-4541-9
    """
    interval, _ = _bootstrap([a, b], confidence, n_resamples, seed)
    return interval


def paired_bootstrap(a, b, *, confidence=0.95, n_resamples=1000, seed=0):
    """Compare two models on the same users: resample the users, the same ones for both.

    Users differ more than models do; the differences within users are free of that, and their
    interval is much narrower than what two separate intervals suggest.

    Args:
        a: Series indexed by user, such as `evaluation.per_user["ndcg@10"]`.
        b: Series of the other model, with the same users in any order.
        confidence: see `bootstrap_interval`.
        n_resamples: see `bootstrap_interval`.
        seed: see `bootstrap_interval`.

    Returns:
        `PairedDifference(mean, low, high, share_better)` of a - b.

    Raises:
        TypeError: if one of them is not a Series.
        ValueError: if the users are not the same, or as `bootstrap_interval` does.

    Example:

    >>> a, b = pd.Series([0.1, 0.5, 0.9]), pd.Series([0.0, 0.4, 0.8])
    >>> tuple(round(float(x), 3) for x in paired_bootstrap(a, b))
    (0.1, 0.1, 0.1, 1.0)
    """
    for name, values in [("a", a), ("b", b)]:
        if not isinstance(values, pd.Series):
            raise TypeError(
                f"Expected `{name}` to be a Series indexed by user, such as "
                f'`evaluation.per_user["ndcg@10"]`. Received: {type(values).__name__}.'
            )
        twice = values.index[values.index.duplicated()].tolist()
        if twice:
            raise ValueError(
                f"Expected `{name}` with one value a user. Received several for user {twice[0]!r}."
            )
    alone = {
        "a": a.index.difference(b.index, sort=False).tolist(),
        "b": b.index.difference(a.index, sort=False).tolist(),
    }
    found = [
        f"{len(users)} in `{name}` alone, such as {users[0]!r}"
        for name, users in alone.items()
        if users
    ]
    if found:
        raise ValueError(
            f"Expected `a` and `b` with the same users. Received: {' and '.join(found)}. "
            "Evaluate both on the same test."
        )
    difference, resampled = _bootstrap([a - b.reindex(a.index)], confidence, n_resamples, seed)
    return PairedDifference(*difference, float((resampled > 0).mean()))


def warm_and_cold(test, train):
    """Tell apart the test interactions by what train knows of their users and items.

    Pass a part to `evaluate` as its `test`. What the user has in the other parts is no positive
    then; to keep it from taking up ranks, pass these parts in `seen` as well, or rank some items
    alone, such as the cold ones among themselves, by passing them as `candidates`.

    Args:
        test: data frame of interactions with the columns `user` and `item`.
        train: data frame of interactions; a user or an item without a row in it is cold.

    Returns:
        Dict of data frames that together hold each row of `test` once, in its order: "warm" (user
        and item are known), "cold items" (the user is known, the item is not), "cold users" (the
        item is known, the user is not), "cold items and users" (neither is known).

    Example:

    >>> train = pd.DataFrame({"user": [0, 1], "item": [0, 1]})
    >>> test = pd.DataFrame({"user": [0, 0, 2, 2], "item": [1, 2, 0, 2]})
    >>> {name: len(part) for name, part in warm_and_cold(test, train).items()}
    {'warm': 1, 'cold items': 1, 'cold users': 1, 'cold items and users': 1}
    """
    user, item = (test[column].isin(train[column]) for column in ("user", "item"))
    return {
        "warm": test[user & item],
        "cold items": test[user & ~item],
        "cold users": test[~user & item],
        "cold items and users": test[~user & ~item],
    }


def _candidates(candidates, n_items):
    """Return the int array of the items to be ranked, or raise an error that names its fault."""
    if candidates is None:
        return np.arange(n_items)
    items = np.asarray(candidates)
    if items.ndim != 1 or items.dtype.kind not in "iu" or not items.size:
        raise ValueError(
            "Expected `candidates` to be a non-empty int array of shape (n,). "
            f"Received: {items.dtype} of shape {items.shape}."
        )
    outside = items[(items < 0) | (items >= n_items)]
    if outside.size:
        raise ValueError(f"Expected `candidates` in [0, {n_items}). Received: {outside[0]}.")
    ids, counts = np.unique(items, return_counts=True)
    if len(ids) < len(items):
        raise ValueError(
            f"Expected distinct `candidates`. Received item {ids[counts > 1][0]} twice; "
            "np.unique drops repetitions."
        )
    return items


def _check_scores(scores, users, items):
    """Raise an error that names the first NaN or +inf in `scores`."""
    # The maximum is NaN if a score is; one pass without a copy finds both faults.
    if scores.max() < np.inf:
        return
    faulty = np.argwhere(~(scores < np.inf))
    row, column = faulty[0]
    raise ValueError(
        "Expected scores that are numbers, or -inf for what must not be recommended. "
        f"Received: {scores[row, column]} for user {users[row]} and item {items[column]} "
        f"(and {len(faulty) - 1} more)."
    )


def _best(scores, k, users, items, seed):
    """Return the columns, shape `(n, k)`, of the k best scores a row, the best first."""
    n_columns = scores.shape[1]
    best = np.argpartition(scores, n_columns - k, axis=1)[:, n_columns - k :]
    lowest = np.take_along_axis(scores, best, axis=1).min(axis=1, keepdims=True)
    # Where the list's end cuts through equal scores, argpartition took any of them.
    cut = (np.count_nonzero(scores >= lowest, axis=1) > k) & (lowest[:, 0] > -np.inf)
    if cut.any():
        keys = random_bits((seed, _TIES), users[cut][:, None], items)
        keys[scores[cut] > lowest[cut]] = 0
        keys[scores[cut] < lowest[cut]] = np.iinfo(np.uint64).max
        best[cut] = np.argpartition(keys, k - 1, axis=1)[:, :k]
    keys = random_bits((seed, _TIES), users[:, None], items[best])
    order = np.lexsort((keys, -np.take_along_axis(scores, best, axis=1)), axis=1)
    return np.take_along_axis(best, order, axis=1)


def _pairs(frames, dataset, name):
    """Return the distinct pairs of data frames as a CSR array of shape `(n_users, n_items)`."""
    frames = [frames] if isinstance(frames, pd.DataFrame) else list(frames)
    columns = []
    for column, size in (("user", dataset.n_users), ("item", dataset.n_items)):
        for frame in frames:
            if column not in frame:
                raise ValueError(
                    f"Expected `{name}` with the columns user and item. "
                    f"Received: {list(frame.columns)}."
                )
        values = np.concatenate([np.empty(0, np.int32), *(frame[column] for frame in frames)])
        if values.dtype.kind not in "iu":
            raise ValueError(
                f"Expected `{name}.{column}` to be integers. Received: {values.dtype}."
            )
        outside = values[(values < 0) | (values >= size)]
        if outside.size:
            raise ValueError(
                f"Expected `{name}.{column}` in [0, {size}), row numbers of the data set. "
                f"Received: {outside[0]}."
            )
        columns.append(values)
    return scipy.sparse.csr_array(
        (np.ones(len(columns[0]), bool), columns), shape=(dataset.n_users, dataset.n_items)
    )


def _check_apart(positives, seen):
    """Raise an error if a positive is seen: it would be left out of the ranking and missed."""
    both = positives.multiply(seen).tocoo()
    if both.nnz:
        raise ValueError(
            "Expected no pair of user and item to stand in both `test` and `seen`. "
            f"Received: {both.nnz} such pairs, the first of user {both.row[0]} and item "
            f"{both.col[0]}. Drop them from `test`, as the splits do, or, if a user may want an "
            "item again, pass `seen=None`."
        )


def _check_among(positives, items):
    """Raise an error if a positive is no candidate: it could not be recommended."""
    stray = np.ones(positives.shape[1], bool)
    stray[items] = False
    where = np.flatnonzero(stray[positives.indices])
    if where.size:
        item = positives.indices[where[0]]
        user = np.searchsorted(positives.indptr, where[0], side="right") - 1
        raise ValueError(
            "Expected every item of `test` among the `candidates`. "
            f"Received: {where.size} pairs with other items, the first of user {user} and item "
            f"{item}. Drop them from `test`, or add their items to the candidates."
        )


def _bootstrap(samples, confidence, n_resamples, seed):
    """Return an `Interval` and the values of the resamples.

    Of one sample it is its mean, of two the mean of the first minus that of the second, each
    resampled by itself.
    """
    import scipy.stats  # Here, as it takes longer to import than all the rest.

    samples = [np.asarray(values, np.float64) for values in samples]
    for values in samples:
        if values.ndim != 1 or len(values) < 2:
            raise ValueError(
                f"Expected one value a user, of at least two users. Received: shape {values.shape}."
            )
        faulty = np.flatnonzero(~np.isfinite(values))
        if faulty.size:
            raise ValueError(
                f"Expected finite values. Received: {values[faulty[0]]} at position {faulty[0]} "
                f"(and {faulty.size - 1} more). Leave out the users without a value."
            )
    if not 0 < confidence < 1:
        raise ValueError(f"Expected `confidence` in (0, 1). Received: {confidence}.")
    if n_resamples < 2:
        raise ValueError(f"Expected `n_resamples` of at least 2. Received: {n_resamples}.")

    def statistic(*samples, axis):
        first, *second = (values.mean(axis=axis) for values in samples)
        return first - second[0] if second else first

    result = scipy.stats.bootstrap(
        samples,
        statistic,
        n_resamples=n_resamples,
        # Draws of about 32 MB at a time.
        batch=max(1, 2**22 // max(map(len, samples))),
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    value = float(statistic(*samples, axis=0))
    return Interval(value, float(low), float(high)), result.bootstrap_distribution
