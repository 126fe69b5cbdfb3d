"""How people behave in the generated worlds: they come, are shown a list, and pick from it.

It is one mechanism for all worlds and for both of its uses: a world's log is what people picked
from lists that a simple rule made, and a simulated A/B test is what the same people pick from the
lists of two recommenders. What a world adds is the utility: how much whom wants what, and when.

Random numbers depend on the seed, the visit and the item alone. So the same visitor who meets the
same item in two lists has the same mood about it, and two recommenders can be compared visit by
visit, which no real test can do.
"""

import numpy as np
import pandas as pd

from mmrec_tf._random import random_bits, random_uniform
from mmrec_tf.datasets.catalog.arithmetic import normal

__all__ = ["draw_slates", "draw_visits", "impressions", "respond"]

_WHEN, _SHOWN, _LOOK, _MOOD = 61, 62, 63, 64
_BLOCK = 500_000  # pairs of a visit and an item at a time


def draw_visits(seed, counts, joined, end, *, hours=None):
    """Let people come at random moments, in the order of time.

    Args:
        seed: the world's seed.
        counts: int array of shape `(n_users,)`, visits of each.
        joined: int array of shape `(n_users,)`, seconds; nobody comes earlier.
        end: seconds; nobody comes later.
        hours: 24 positive weights, how many come in each hour of the day (UTC); by default
            all alike. `joined` and `end` should then be midnights.

    Returns:
        Data frame with one row a visit, numbered 0, 1, 2, …, and the int64 columns `user` and
        `timestamp`.

    Example:

    >>> draw_visits(0, np.array([2, 1]), np.array([0, 0]), 1000)
       user  timestamp
    0     0        531
    1     1        967
    2     0        979
    """
    users = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts)
    bits = random_bits((seed, _WHEN), users, number)
    joined = np.asarray(joined)[users]
    if hours is None:
        when = joined + (bits % (end - joined).astype(np.uint64)).astype(np.int64)
    else:
        days = ((end - joined) // 86_400).astype(np.uint64)
        day = (bits % days).astype(np.int64)
        share = np.cumsum(np.asarray(hours, float))
        clock = random_uniform((seed, _WHEN, 1), users, number) * share[-1]
        hour = np.searchsorted(share, clock, side="right")
        second = (random_bits((seed, _WHEN, 2), users, number) % np.uint64(3600)).astype(np.int64)
        when = joined + day * 86_400 + hour * 3600 + second
    order = np.lexsort((number, users, when))
    return pd.DataFrame({"user": users[order], "timestamp": when[order]})


def draw_slates(seed, n_visits, weigh, size, *, block=_BLOCK):
    """Show each visitor a list of items, drawn by weight and without replacement.

    It is Pareto sampling: of the items with a weight :math:`w_i` above 0 those with the largest
    :math:`w_i / u_i` are shown, with :math:`u_i` uniform in (0, 1], the largest first. Where
    weights are equal and :math:`m` items have one, each is shown with probability `size / m`.

    Args:
        seed: the world's seed; what is drawn depends on it, the visit and the item alone.
        n_visits: number of visits.
        weigh: function from an int array of visits, shape `(n,)`, to non-negative weights of
            shape `(n, n_items)`; 0 for what is not there.
        size: length of a list.
        block: pairs of a visit and an item to look at in one go.

    Returns:
        int64 array of shape `(n_visits, size)`, items; -1 at the end of a list where fewer have a
        weight.

    References:
        B. Rosén: On sampling with probability proportional to size. Journal of Statistical
        Planning and Inference 62(2), 1997, https://doi.org/10.1016/S0378-3758(96)00186-3

    Example:

    >>> draw_slates(0, 2, lambda visits: np.tile([1.0, 1.0, 0.0, 5.0], (len(visits), 1)), 3)
    array([[3, 0, 1],
           [3, 1, 0]])
    """
    n_items = weigh(np.arange(1)).shape[1]
    if not 1 <= size <= n_items:
        raise ValueError(f"Expected `size` in [1, {n_items}]. Received: {size}.")
    step = max(1, block // n_items)
    slates = np.empty((n_visits, size), np.int64)
    for start in range(0, n_visits, step):
        visits = np.arange(start, min(start + step, n_visits))
        weights = weigh(visits)
        luck = 1.0 - random_uniform((seed, _SHOWN), visits[:, None], np.arange(n_items))
        rank = weights / luck
        shown = np.argpartition(-rank, size - 1, axis=1)[:, :size]
        ranks = np.take_along_axis(rank, shown, axis=1)
        order = np.lexsort((shown, -ranks), axis=1)
        shown = np.take_along_axis(shown, order, axis=1)
        shown[np.take_along_axis(ranks, order, axis=1) == 0] = -1
        slates[visits] = shown
    return slates


def draw_recent_slates(seed, times, born, alive, weigh, size):
    """Show each visitor a list, as `draw_slates` does, of what is not yet old.

    Args:
        seed: the world's seed.
        times: int array of shape `(n_visits,)`, seconds, ascending.
        born: int array of shape `(n_items,)`, seconds, ascending: when items appear.
        alive: seconds, after which an item is shown no more.
        weigh: function from visits, shape `(n,)`, items and their ages in seconds, both of shape
            `(n, m)`, to non-negative weights of that shape.
        size: length of a list.

    Returns:
        int64 array of shape `(n_visits, size)`, items; -1 at the end of a list where fewer are
        there.
    """
    newest = np.searchsorted(born, times, side="right") - 1
    oldest = np.searchsorted(born, times - alive)
    width = max(int((newest - oldest).max()) + 1, size)

    def weigh_places(visits):
        items = newest[visits][:, None] - np.arange(width)
        there = (items >= oldest[visits][:, None]) & (items >= 0)
        items = np.maximum(items, 0)
        ages = np.maximum(times[visits][:, None] - born[items], 0)
        return np.where(there, weigh(visits, items, ages), 0.0)

    places = draw_slates(seed, len(times), weigh_places, size)
    return np.where(places >= 0, newest[:, None] - places, -1)


def asked(visits, slates):
    """Return users, times, items and which places of the lists are taken, for a utility.

    Args:
        visits: data frame with the columns `user` and `timestamp`, one row a visit.
        slates: int array of shape `(n, size)`, items, -1 for none.

    Returns:
        Two arrays of shape `(n,)`, and two of shape `(n, size)`: items, 0 for none, and bools.

    Raises:
        ValueError: if there are not as many lists as visits.
    """
    slates = np.asarray(slates)
    if slates.ndim != 2 or len(slates) != len(visits):
        raise ValueError(
            f"Expected `slates` of shape ({len(visits)}, size). Received: {slates.shape}."
        )
    there = slates >= 0
    users, times = (visits[name].to_numpy() for name in ("user", "timestamp"))
    return users, times, np.where(there, slates, 0), there


def respond(seed, visits, slates, utility, *, noise=1.0, attention=0.1, kinds=None):
    r"""Let visitors look down a list and pick what they want.

    A visitor looks at position :math:`k = 0, 1, …` with probability :math:`1 / (1 + a k)`, where
    :math:`a` is `attention`, and picks what they look at if its utility and their mood of the
    moment, a nearly normal number, are together above zero: the position-based model of clicks.
    With `kinds`, nobody picks two of a kind in one visit: the first one in the list stays.

    Args:
        seed: the world's seed.
        visits: int array of shape `(n,)`, numbers of the visits, which fix the moods.
        slates: int array of shape `(n, size)`, items, best first; -1 for none.
        utility: float array of shape `(n, size)`: how much each visitor wants each of them.
        noise: standard deviation of moods.
        attention: how quickly attention falls; 0 looks at everything.
        kinds: int array of shape `(n_items,)`, such as categories; None lets pick all.

    Returns:
        bool array of shape `(n, size)`, what is picked.

    Raises:
        ValueError: if an item stands twice in a list, or shapes do not fit.

    References:
        N. Craswell, O. Zoeter, M. Taylor, B. Ramsey: An experimental comparison of click
        position-bias models. WSDM 2008, https://doi.org/10.1145/1341531.1341545

    Example:

    >>> wanted = np.array([[2.0, 2.0, -2.0]])
    >>> respond(0, np.array([5]), np.array([[4, 2, 7]]), wanted, noise=0.1, attention=0)
    array([[ True,  True, False]])
    >>> kinds = np.array([0, 0, 1, 0, 1, 1, 1, 0])  # 4 and 2 are of one kind
    >>> respond(0, np.array([5]), np.array([[4, 2, 7]]), wanted, attention=0, kinds=kinds)
    array([[ True, False, False]])
    """
    visits, slates, utility = np.asarray(visits), np.asarray(slates), np.asarray(utility, float)
    if not (
        slates.ndim == 2 and slates.shape == utility.shape and visits.shape == slates.shape[:1]
    ):
        raise ValueError(
            "Expected `slates` and `utility` of one shape (n, size), and n visits. Received: "
            f"{slates.shape}, {utility.shape} and {visits.shape}."
        )
    in_order = np.sort(slates, axis=1)
    twice = (in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0)
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise ValueError(
            f"Expected every item once in a list. Received: item {in_order[row, column]} twice "
            f"in list {row}."
        )
    position = np.arange(slates.shape[1])
    there = slates >= 0
    item = np.where(there, slates, 0)
    looks = (
        random_uniform((seed, _LOOK), visits[:, None], position) * (1 + attention * position) < 1
    )
    mood = noise * normal((seed, _MOOD), visits[:, None], item)
    picked = there & looks & (utility + mood > 0)
    if kinds is not None:
        kind = np.asarray(kinds)[item]
        for column in range(1, slates.shape[1]):
            before = picked[:, :column] & (kind[:, :column] == kind[:, [column]])
            picked[:, column] &= ~before.any(axis=1)
    return picked


def impressions(visits, slates, picked):
    """Return what was shown as a table, one row an item shown, in the order of visits.

    Args:
        visits: data frame with the columns `user` and `timestamp`, one row a list.
        slates: int array of shape `(n_visits, size)`; -1 for none.
        picked: bool array of shape `(n_visits, size)`.

    Returns:
        Data frame with the columns `visit` (the index of `visits`), `user`, `item`, `timestamp`,
        `position` and the bool column `picked`. Its picked rows are a log of interactions.

    Example:

    >>> visits = pd.DataFrame({"user": [7, 3], "timestamp": [10, 20]})
    >>> impressions(visits, np.array([[4, 2], [4, -1]]), np.array([[True, False], [True, False]]))
       visit  user  item  timestamp  position  picked
    0      0     7     4         10         0    True
    1      0     7     2         10         1   False
    2      1     3     4         20         0    True
    """
    row, position = np.nonzero(slates >= 0)
    return pd.DataFrame(
        {
            "visit": visits.index.to_numpy()[row],
            "user": visits["user"].to_numpy()[row],
            "item": slates[row, position],
            "timestamp": visits["timestamp"].to_numpy()[row],
            "position": position,
            "picked": picked[row, position],
        }
    )
