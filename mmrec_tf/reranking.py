"""Choose a list from the best candidates so that its items do not repeat each other."""

import numpy as np

__all__ = ["maximal_marginal_relevance"]


def maximal_marginal_relevance(ids, relevance, similarity, *, trade, k):
    r"""Fill each list with the item that is relevant and unlike those before it.

    .. math:: \arg\max_i \; \lambda \, r_i - (1 - \lambda) \max_{j \in L} s_{ij}

    is put next, for the list L so far; the first item is the most relevant one. Where two are
    equal, the one that stands first among the candidates is taken.

    Args:
        ids: int array of shape `(n, m)`, each row's candidates, no item twice in a row.
        relevance: float array of shape `(n, m)`; on the scale of the similarity, such as from 0 to
            1. -inf for what must not be chosen.
        similarity: float array of shape `(n_items, n_items)`, such as cosines.
        trade: :math:`\lambda` in [0, 1]; 1 looks at the relevance alone.
        k: int from 1 to m, length of the lists.

    Returns:
        int array of shape `(n, k)`, ids.

    Raises:
        ValueError: if shapes do not fit, `trade` or `k` is out of range, or a row has fewer than
            `k` candidates that may be chosen.

    References:
        J. Carbonell, J. Goldstein: The use of MMR, diversity-based reranking for reordering
        documents and producing summaries. SIGIR 1998, https://doi.org/10.1145/290941.291025

    Example:

    >>> relevance = np.array([[1.0, 0.9, 0.5]])
    >>> alike = np.array([[1.0, 0.99, 0.0], [0.99, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> maximal_marginal_relevance(np.array([[0, 1, 2]]), relevance, alike, trade=0.5, k=2)
    array([[0, 2]])
    """
    ids, relevance = np.asarray(ids), np.asarray(relevance, float)
    if ids.ndim != 2 or ids.shape != relevance.shape:
        raise ValueError(
            "Expected `ids` and `relevance` of one shape (n, m). "
            f"Received: {ids.shape} and {relevance.shape}."
        )
    if not 0 <= trade <= 1:
        raise ValueError(f"Expected `trade` in [0, 1]. Received: {trade}.")
    if not 1 <= k <= ids.shape[1]:
        raise ValueError(f"Expected `k` in [1, {ids.shape[1]}]. Received: {k}.")
    free = relevance > -np.inf
    if (short := np.flatnonzero(free.sum(axis=1) < k)).size:
        raise ValueError(f"Expected {k} candidates that may be chosen. Row {short[0]} has fewer.")
    rows, chosen = np.arange(len(ids)), []
    column, nearest = np.where(free, relevance, -np.inf).argmax(axis=1), None
    for _ in range(k):
        chosen.append(ids[rows, column])
        free[rows, column] = False
        near = similarity[ids, chosen[-1][:, None]]
        nearest = near if nearest is None else np.maximum(nearest, near)
        # Not with the -inf of `relevance`: 0 times it is no number.
        worth = trade * np.where(free, relevance, 0.0) - (1 - trade) * nearest
        column = np.where(free, worth, -np.inf).argmax(axis=1)
    return np.stack(chosen, axis=1)
