"""Ids of what is generated: what it is, and its number."""

import pandas as pd


def numbered_ids(kind, n, *, name=None):
    """Return the ids of n things of a kind.

    Args:
        kind: what they are, such as `"user"`.
        n: their number.
        name: of the index; by default that of the kind.

    Example:

    >>> numbered_ids("user", 2).tolist(), numbered_ids("user", 2).name
    (['user-00000', 'user-00001'], 'user_id')
    """
    ids = [f"{kind}-{row:05d}" for row in range(n)]
    return pd.Index(ids, name=f"{kind}_id" if name is None else name)
