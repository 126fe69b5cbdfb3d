"""How the interactions of a generated shop arise: who looks when at what, and picks it."""

import numpy as np
import pandas as pd

from mmrec_tf._random import random_bits, random_uniform
from mmrec_tf.datasets.catalog.arithmetic import normal_from_bits

DAY = 86_400
START = 1_672_531_200  # 2023-01-01 UTC, the day on which the shop opens
END = START + 731 * DAY  # 2025-01-01 UTC

_SHOWN, _PAIR, _TIME, _COUNT = 11, 12, 13, 14
_BLOCK = 500_000  # pairs of a user and an item at a time
_NEVER = -(2**62)  # below every rank


def draw_counts(seed, n_users, *, at_most):
    """Return how many items each user picks: at least 5, 21 on average, a few users up to 100.

    Args:
        seed: the shop's seed.
        n_users: number of users.
        at_most: no user gets more.

    Returns:
        int64 array of shape `(n_users,)`.
    """
    # The quantiles of a Lomax distribution, cut at its top tenth: a heavy tail by division alone.
    quantile = random_uniform((seed, _COUNT), np.arange(n_users)) * 0.9014
    counts = np.floor(5.0 + 10.5 * quantile / (1.0 - quantile)).astype(np.int64)
    return np.minimum(counts, at_most)


def simulate_interactions(
    seed, affinity, counts, joined, released, *, noise=1.0, max_shown=4096, end=END
):
    """Let every user pick the items that they like best among those that they meet.

    A user may meet an item in the time when both are there: the longer that is, as a share of
    the user's whole stay, the likelier they meet. Of what they meet, they pick `counts` items with
    the largest affinity plus noise, each once, at a random moment of that time. So no
    interaction is earlier than its user or its item, and newer items have fewer of them.

    Args:
        seed: the shop's seed.
        affinity: function from row numbers of users, shape `(n,)`, and of items, shape `(m,)` or
            `(n, m)`, to a float64 array of shape `(n, m)`.
        counts: int array of shape `(n_users,)`, items that each user picks. Who does not
            meet so many picks all that they meet.
        joined: int array of shape `(n_users,)`, seconds.
        released: int array of shape `(n_items,)`, seconds.
        noise: standard deviation of what no taste explains.
        max_shown: where there are more items, a user may meet only so many, picked at random.
        end: seconds, when the last interaction may happen; all users and items come before.

    Returns:
        Data frame with the int64 columns `user`, `item` and `timestamp`, in the order of time.

    Example:

    >>> likes = np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]])
    >>> log = simulate_interactions(
    ...     0,
    ...     lambda users, items: likes[users][:, items],
    ...     counts=np.array([1, 2]),
    ...     joined=np.array([START, START]),
    ...     released=np.array([START, START, START]),
    ...     noise=0.0,
    ... )
    >>> sorted(zip(log["user"].tolist(), log["item"].tolist()))
    [(0, 0), (1, 1), (1, 2)]
    """
    n_users, n_items = len(joined), len(released)
    shown = min(n_items, max_shown)
    block = max(1, _BLOCK // shown)
    picked = [
        _pick(
            seed,
            affinity,
            np.arange(start, min(start + block, n_users)),
            n_items,
            shown,
            counts,
            joined,
            released,
            noise,
            end,
        )
        for start in range(0, n_users, block)
    ]
    users, items, times = (np.concatenate(column) for column in zip(*picked, strict=True))
    order = np.lexsort((items, users, times))
    log = {"user": users[order], "item": items[order], "timestamp": times[order]}
    return pd.DataFrame(log)


def _pick(seed, affinity, users, n_items, shown, counts, joined, released, noise, end):
    """Return the users, items and times of the interactions of a block of users."""
    row = users[:, None]
    items = np.arange(n_items) if shown == n_items else _shown_items(seed, row, n_items, shown)
    together = end - np.maximum(joined[row], released[items])
    bits = random_bits((seed, _PAIR), row, items)
    # `normal_from_bits` takes the upper 48 bits, so these 16 are independent of the noise.
    luck = (bits & np.uint64(0xFFFF)).astype(np.int64)
    meets = luck * (end - joined[row]) < together * 65_536
    utility = affinity(users, items) + noise * normal_from_bits(bits)
    # Whole numbers, no two alike: the largest are then the same whatever algorithm finds them.
    rank = np.floor(utility * 2.0**32).astype(np.int64) * shown + np.arange(shown)
    rank = np.where(meets, rank, _NEVER)
    most = int(counts[users].max())
    columns = np.argpartition(rank, shown - most, axis=1)[:, shown - most :]
    ranks = np.take_along_axis(rank, columns, axis=1)
    best_first = np.argsort(-ranks, axis=1, kind="stable")
    columns = np.take_along_axis(columns, best_first, axis=1)
    ranks = np.take_along_axis(ranks, best_first, axis=1)
    taken = (np.arange(most) < counts[row]) & (ranks != _NEVER)
    picks = columns if items.ndim == 1 else np.take_along_axis(items, columns, axis=1)
    users, picks = np.broadcast_to(row, picks.shape)[taken], picks[taken]
    since = np.maximum(joined[users], released[picks])
    wait = random_bits((seed, _TIME), users, picks) % (end - since).astype(np.uint64)
    return users, picks, since + wait.astype(np.int64)


def _shown_items(seed, users, n_items, shown):
    """Return items, shape `(len(users), shown)`: for each user one from every stretch of rows."""
    # One item from each of `shown` stretches of equal length: no item twice, and no list to sort.
    stretch = np.arange(shown)
    low, high = stretch * n_items // shown, (stretch + 1) * n_items // shown
    offset = random_bits((seed, _SHOWN), users, stretch) % (high - low).astype(np.uint64)
    return low + offset.astype(np.int64)
