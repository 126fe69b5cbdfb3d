"""How good a list of recommendations is, from its items' ids, one number a user.

Every function takes `topk`, an int array of shape `(n_users, K)`: a list of K items a row, the
best first, and -1 where there is no further item. It looks at the first `k` of them.

The accuracy metrics compare the list with `relevant`, the user's positives: a SciPy CSR matrix of
shape `(n_users, n_items)` whose nonzeros are the positives, or, handy for small examples, a
sequence with one collection of ids a user. What a user without positives should have been
recommended is unknown; the value is NaN, and such users are to be left out of a mean, not counted
as failures.

Rank over all items. Metrics among a sample of negatives can order models differently:
W. Krichene, S. Rendle: On sampled metrics for item recommendation. KDD 2020,
https://doi.org/10.1145/3394486.3403226
"""

from collections.abc import Iterable

import numpy as np
import scipy.sparse

__all__ = [
    "coverage_at_k",
    "diversity_at_k",
    "gini_coefficient",
    "hit_rate_at_k",
    "map_at_k",
    "mrr_at_k",
    "ndcg_at_k",
    "novelty_at_k",
    "recall_at_k",
]


def recall_at_k(topk, relevant, k):
    """Return the share of a user's positives that are among the first k items.

    The share is of all positives: with more than k of them, even a perfect list stays below 1.

    Args:
        topk: int array of shape `(n_users, K)`; see the module.
        relevant: the positives; see the module.
        k: int from 1 to K.

    Returns:
        float64 array of shape `(n_users,)`, in [0, 1]; NaN for a user without positives.

    Raises:
        ValueError: if a list holds an item twice or an item after -1, if an id is out of range,
            if `k` is, or if the shapes do not fit; the message names the row.

    Example:

    >>> topk = np.array([[3, 1, 0], [2, 0, 1], [0, 1, 2]])
    >>> relevant = [{1}, {0, 2, 3}, {}]
    >>> recall_at_k(topk, relevant, 2).round(3)
    array([1.   , 0.667,   nan])
    >>> float(np.nanmean(recall_at_k(topk, relevant, 1)).round(3))
    0.167
    """
    hits, n_relevant = _hits(topk, relevant, k)
    return _divide(hits.sum(axis=1), n_relevant)


def ndcg_at_k(topk, relevant, k):
    r"""Return the normalised discounted cumulative gain of the first k items.

    A positive at rank r, counted from 1, gains 1 / log2(r + 1). The sum is divided by that of the
    best possible list, whose first min(k, number of positives) items are positives:

    .. math:: \mathrm{NDCG@}k = \sum_{r \le k,\ \mathrm{hit\ at}\ r} \frac{1}{\log_2(r + 1)}
        \Big/ \sum_{r=1}^{\min(k, n)} \frac{1}{\log_2(r + 1)}

    Args:
        topk: int array of shape `(n_users, K)`; see the module.
        relevant: the positives; see the module.
        k: int from 1 to K.

    Returns:
        float64 array of shape `(n_users,)`, in [0, 1]; NaN for a user without positives.

    Raises:
        ValueError: as `recall_at_k` does.

    Example:

    >>> ndcg_at_k([[3, 1, 0], [2, 0, 1]], [{1}, {0, 2, 3}], 3).round(3)
    array([0.631, 0.765])

    References:
        K. Järvelin, J. Kekäläinen: Cumulated gain-based evaluation of IR techniques. ACM
        Transactions on Information Systems 20(4), 2002, https://doi.org/10.1145/582415.582418
    """
    hits, n_relevant = _hits(topk, relevant, k)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.append(0, np.cumsum(discounts))[np.minimum(n_relevant, k)]
    # Added up in the ideal's order, so that a perfect list has exactly 1.
    return _divide(np.cumsum(hits * discounts, axis=1)[:, -1], ideal)


def mrr_at_k(topk, relevant, k):
    """Return one over the rank of the first positive, 0 if none is among the first k items.

    Args:
        topk: int array of shape `(n_users, K)`; see the module.
        relevant: the positives; see the module.
        k: int from 1 to K.

    Returns:
        float64 array of shape `(n_users,)`, in [0, 1]; NaN for a user without positives.

    Raises:
        ValueError: as `recall_at_k` does.

    Example:

    >>> mrr_at_k([[3, 1, 0], [2, 0, 1]], [{0, 1}, {3}], 3)
    array([0.5, 0. ])
    """
    hits, n_relevant = _hits(topk, relevant, k)
    return _divide(hits.any(axis=1) / (1 + hits.argmax(axis=1)), np.minimum(n_relevant, 1))


def hit_rate_at_k(topk, relevant, k):
    """Return 1 if a positive is among the first k items, else 0.

    Args:
        topk: int array of shape `(n_users, K)`; see the module.
        relevant: the positives; see the module.
        k: int from 1 to K.

    Returns:
        float64 array of shape `(n_users,)`, 0 or 1; NaN for a user without positives.

    Raises:
        ValueError: as `recall_at_k` does.

    Example:

    >>> hit_rate_at_k([[3, 1, 0], [2, 0, 1]], [{0, 1}, {3}], 3)
    array([1., 0.])
    """
    hits, n_relevant = _hits(topk, relevant, k)
    return _divide(hits.any(axis=1), np.minimum(n_relevant, 1))


def map_at_k(topk, relevant, k):
    """Return the average precision of the first k items; its mean over users is the MAP.

    At each positive among them the precision is the share of positives up to there; their sum is
    divided by min(k, number of positives), so that a perfect list has 1. Other definitions divide
    by the number of positives, or by the number of hits.

    Args:
        topk: int array of shape `(n_users, K)`; see the module.
        relevant: the positives; see the module.
        k: int from 1 to K.

    Returns:
        float64 array of shape `(n_users,)`, in [0, 1]; NaN for a user without positives.

    Raises:
        ValueError: as `recall_at_k` does.

    Example:

    >>> map_at_k([[0, 3, 1]], [{0, 1, 2}], 3).round(3)  # (1/1 + 2/3) / 3
    array([0.556])
    """
    hits, n_relevant = _hits(topk, relevant, k)
    precision = np.cumsum(hits, axis=1) / np.arange(1, k + 1)
    return _divide((precision * hits).sum(axis=1), np.minimum(n_relevant, k))


def coverage_at_k(topk, k, *, n_items):
    """Return the share of the items that are among the first k of at least one list.

    Args:
        topk: int array of shape `(n_users, K)`; see the module.
        k: int from 1 to K.
        n_items: number of items that could have been recommended.

    Returns:
        float in [0, 1].

    Raises:
        ValueError: as `recall_at_k` does.

    Example:

    >>> coverage_at_k([[3, 1, 0], [1, 3, 2]], 2, n_items=4)
    0.5
    """
    topk = _lists(topk, k, n_items)
    return len(np.unique(topk[topk >= 0])) / n_items


def novelty_at_k(topk, counts, k, *, n_users):
    """Return the mean self-information of the first k items: how little known they are.

    An item that c of n users had informs by -log2((c + 1) / (n + 1)) bits, as if one further user
    had everything: 0 for an item that everyone had, log2(n + 1) for one that nobody had.

    Args:
        topk: int array of shape `(n_users, K)`; see the module. Its users may be other ones than
            those that were counted.
        counts: int array of shape `(n_items,)`; how many of the training users had the item.
        k: int from 1 to K.
        n_users: number of training users.

    Returns:
        float64 array of shape `(n_users,)`, in bits; NaN for an empty list.

    Raises:
        ValueError: as `recall_at_k` does, and if a count is not from 0 to `n_users`.

    Example:

    >>> novelty_at_k([[0, 1], [1, 2]], [7, 3, 0], 2, n_users=7)
    array([0.5, 2. ])

    References:
        T. Zhou, Z. Kuscsik, J.-G. Liu, M. Medo, J. R. Wakeling, Y.-C. Zhang: Solving the apparent
        diversity-accuracy dilemma of recommender systems. PNAS 107(10), 2010,
        https://doi.org/10.1073/pnas.1000488107
    """
    counts = np.asarray(counts)
    if counts.ndim != 1:
        raise ValueError(f"Expected `counts` of shape (n_items,). Received: {counts.shape}.")
    outside = np.flatnonzero(~((counts >= 0) & (counts <= n_users)))
    if outside.size:
        raise ValueError(
            f"Expected `counts` of users, from 0 to {n_users}. "
            f"Received: {counts[outside[0]]} for item {outside[0]}."
        )
    topk = _lists(topk, k, len(counts))
    bits = np.log2((n_users + 1) / (counts + 1))
    # The last entry is what -1 points at.
    return _divide(np.append(bits, 0)[topk].sum(axis=1), (topk >= 0).sum(axis=1))


def gini_coefficient(counts):
    r"""Return how unequally counts are shared out, such as items' or authors' places in lists.

    .. math:: G = \frac{\sum_{r=1}^{n} (2 r - n - 1) \, c_{(r)}}{n \sum_r c_{(r)}}

    for the counts :math:`c_{(1)} \le \dots \le c_{(n)}` in ascending order: half the mean
    difference of two of them, over their mean.

    Args:
        counts: array of shape `(n,)` of non-negative numbers, with those that are 0.

    Returns:
        A float, 0 if all are equal and 1 - 1 / n if one has everything.

    Raises:
        ValueError: if a count is negative or not finite, or all are 0.

    Example:

    >>> gini_coefficient([2, 2, 2, 2]), gini_coefficient([0, 0, 0, 8])
    (0.0, 0.75)
    """
    counts = np.sort(np.asarray(counts, np.float64))
    if counts.ndim != 1 or not (np.isfinite(counts).all() and counts.sum() > 0 <= counts[0]):
        raise ValueError(
            "Expected counts of shape (n,), finite, none negative, not all 0. "
            f"Received: shape {counts.shape}, from {counts.min(initial=np.inf)} to "
            f"{counts.max(initial=-np.inf)}."
        )
    n = len(counts)
    return float((2 * np.arange(1, n + 1) - n - 1) @ counts / (n * counts.sum()))


def diversity_at_k(topk, vectors, k):
    """Return one minus the mean cosine of two different items among the first k.

    Args:
        topk: int array of shape `(n_users, K)`; see the module.
        vectors: float array of shape `(n_items, dim)`, such as the items' embeddings. Rows of
            items that are in no list are not looked at.
        k: int from 1 to K.

    Returns:
        float64 array of shape `(n_users,)`, in [0, 2]: 0 if all the vectors point the same way, 1
        if they are orthogonal. NaN for a list of fewer than two items.

    Raises:
        ValueError: as `recall_at_k` does, and if the vector of a listed item is all zeros or holds
            a NaN or an infinity.

    Example:

    >>> diversity_at_k([[0, 1], [0, 2]], [[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]], 2)
    array([1., 0.])

    References:
        C.-N. Ziegler, S. M. McNee, J. A. Konstan, G. Lausen: Improving recommendation lists
        through topic diversification. WWW 2005, https://doi.org/10.1145/1060745.1060754
    """
    vectors = np.asarray(vectors)
    if vectors.ndim != 2:
        raise ValueError(f"Expected `vectors` of shape (n_items, dim). Received: {vectors.shape}.")
    topk = _lists(topk, k, len(vectors))
    n_listed = (topk >= 0).sum(axis=1)
    items = np.unique(topk[topk >= 0])
    directions = vectors[items].astype(np.float64)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    faulty = items[~((lengths > 0) & (lengths < np.inf))[:, 0]]
    if faulty.size:
        raise ValueError(
            "Expected the vector of every listed item to have a direction. "
            f"Received: that of item {faulty[0]} is all zeros or not finite."
        )
    # Row 0 is for -1. For unit vectors the square of the sum is the sum over all ordered pairs of
    # cosines, those of an item with itself included, so no array of (n_users, k, dim) is needed.
    directions = np.pad(directions / lengths, ((1, 0), (0, 0)))
    place = np.searchsorted(items, topk, side="right")
    total = np.zeros((len(topk), directions.shape[1]))
    for rank in range(k):
        total += directions[place[:, rank]]
    cosines = (total**2).sum(axis=1) - n_listed
    # Rounding may leave two equal vectors a cosine just above 1.
    return np.maximum(1 - _divide(cosines, n_listed * (n_listed - 1)), 0)


def _lists(topk, k, n_items=None):
    """Return the first `k` columns of `topk`, or raise an error that names its fault."""
    topk = np.asarray(topk)
    if topk.ndim != 2 or topk.dtype.kind not in "iu":
        raise ValueError(
            "Expected `topk` to be an int array of shape (n_users, K). "
            f"Received: {topk.dtype} of shape {topk.shape}."
        )
    if not isinstance(k, int | np.integer) or not 1 <= k <= topk.shape[1]:
        raise ValueError(
            f"Expected `k` from 1 to {topk.shape[1]}, the length of the lists. Received: {k!r}."
        )
    outside = topk < -1
    if n_items is not None:
        outside |= topk >= n_items
    if outside.any():
        row, rank = np.argwhere(outside)[0]
        known = "" if n_items is None else f" in [0, {n_items})"
        raise ValueError(
            f"Expected items{known}, or -1 for none. Received: {topk[row, rank]} in row {row}."
        )
    gap = (topk[:, 1:] >= 0) & (topk[:, :-1] < 0)
    if gap.any():
        raise ValueError(
            "Expected -1 in `topk` only after a list's last item. "
            f"Received: {topk[gap.any(axis=1)][0].tolist()} in row {gap.any(axis=1).argmax()}."
        )
    ordered = np.sort(topk, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, rank = np.argwhere(twice)[0]
        raise ValueError(
            "Expected each list of `topk` to hold an item once. "
            f"Received: item {ordered[row, rank]} twice in row {row}."
        )
    return topk[:, :k]


def _hits(topk, relevant, k):
    """Return which of the first `k` items are positives, and how many positives each user has."""
    if scipy.sparse.issparse(relevant):
        n_items = relevant.shape[1]
        topk = _lists(topk, k, n_items)
        relevant = scipy.sparse.csr_array(relevant).astype(bool)
    else:
        topk = _lists(topk, k)
        relevant = _matrix(relevant, topk.max(initial=0))
    relevant.sum_duplicates()
    relevant.eliminate_zeros()
    if relevant.shape[0] != len(topk):
        raise ValueError(
            "Expected `topk` and `relevant` of as many users. "
            f"Received: {len(topk)} and {relevant.shape[0]}."
        )
    hits = relevant[np.arange(len(topk))[:, None], topk].toarray() & (topk >= 0)
    return hits, np.diff(relevant.indptr)


def _matrix(relevant, largest):
    """Return the CSR array of a sequence of id collections; it has a column for `largest` too."""
    rows = []
    for row, ids in enumerate(relevant):
        ids = np.asarray(list(ids) if isinstance(ids, Iterable) else ids)
        if ids.ndim != 1 or (ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0)):
            raise ValueError(
                "Expected `relevant` to be a sparse matrix, or a sequence with one collection of "
                f"ids a user. Received: {ids.tolist()} for row {row}."
            )
        rows.append(ids.astype(np.int64))
    indices = np.concatenate([np.empty(0, np.int64), *rows])
    indptr = np.cumsum([0, *map(len, rows)])
    shape = (len(rows), int(max(largest, indices.max(initial=0))) + 1)
    return scipy.sparse.csr_array((np.ones(len(indices), bool), indices, indptr), shape=shape)


def _divide(values, by):
    """Return `values / by` as float64, NaN where `by` is 0."""
    return np.divide(values, by, out=np.full(len(values), np.nan), where=by > 0)
