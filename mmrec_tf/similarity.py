"""Similarities between query and candidate vectors."""

import numpy as np


def cosine_similarity(queries, candidates):
    r"""Compute the cosine of the angle between every query and every candidate.

    .. math:: \cos(q, c) = \frac{q \cdot c}{\lVert q \rVert \, \lVert c \rVert}

    A larger value means a more similar direction; the lengths of the vectors play no part, not
    even where a square would overflow or underflow. The cosine of a zero vector is undefined and
    is an error here: the usual substitute, 0, ranks an item without any content above every item
    that points away from the user.

    Args:
        queries: array of shape `(n_queries, dim)`, one vector a row.
        candidates: array of shape `(n_candidates, dim)`.

    Returns:
        NumPy array of shape `(n_queries, n_candidates)`, values in [-1, 1]; float32 for
        float16 and float32 inputs, else float64 or wider.

    Raises:
        ValueError: if an input is not two-dimensional, if the two `dim` differ, or if a row has
            no direction because it is all zeros or holds a NaN or an infinity.

    Example:

    >>> users = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    >>> items = np.array([[0.7, 0.8, 0.9], [0.1, 0.2, 0.3]])
    >>> cosine_similarity(users, items).round(4)
    array([[0.9594, 1.    ],
           [0.9982, 0.9746]])
    >>> cosine_similarity([[0.0, 0.0]], [[1.0, 2.0]])
    Traceback (most recent call last):
      ...
    ValueError: Expected every row of `queries` to have a direction. Received: row 0 is all zeros.

    References:
        G. Salton, A. Wong, C. S. Yang: A vector space model for automatic indexing.
        Communications of the ACM 18(11), 1975, https://doi.org/10.1145/361219.361220
    """
    queries = _directions(queries, "queries")
    candidates = _directions(candidates, "candidates")
    if queries.shape[1] != candidates.shape[1]:
        raise ValueError(
            "Expected `queries` and `candidates` with the same number of columns. "
            f"Received: shapes {queries.shape} and {candidates.shape}."
        )
    return np.clip(queries @ candidates.T, -1.0, 1.0)


def _directions(vectors, name):
    """Return the rows of `vectors` scaled to length one, or raise an error that names `name`."""
    vectors = np.asarray(vectors)
    if vectors.ndim != 2:
        raise ValueError(
            f"Expected `{name}` of shape (n_{name}, dim). Received: shape {vectors.shape}."
        )
    vectors = vectors.astype(np.result_type(vectors.dtype, np.float32))
    # Dividing by the largest entry first keeps the squares in range for tiny and huge vectors.
    largest = np.max(np.abs(vectors), axis=1, keepdims=True, initial=0.0)
    faulty = np.flatnonzero(~(np.isfinite(largest) & (largest > 0)))
    if faulty.size:
        row = faulty[0]
        fault = "is all zeros" if largest[row] == 0 else "holds a NaN or an infinity"
        more = f" (and {faulty.size - 1} more)" if faulty.size > 1 else ""
        raise ValueError(
            f"Expected every row of `{name}` to have a direction. "
            f"Received: row {row} {fault}{more}."
        )
    vectors = vectors / largest
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
