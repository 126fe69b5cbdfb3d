"""Share a gain among those who made it together."""

from itertools import combinations
from math import factorial

__all__ = ["shapley_values"]


def shapley_values(value):
    r"""Share what players are worth together, by the mean over all orders of their arrival.

    .. math::

        \varphi_m = \sum_{S \not\ni m} \frac{|S|! \, (M - |S| - 1)!}{M!}
        \bigl( v(S \cup \{m\}) - v(S) \bigr)

    for M players. The values add up to the worth of all less the worth of none. Every set of
    players must be asked, :math:`2^M` of them: with modalities this is cheap, with the hundred
    items of a history it is not.

    Args:
        value: dict from a tuple of players, in any order, to what they are worth without the
            others: a number, or an array of one shape for all tuples, such as a number for each
            user. Every set of players must be there once, the empty tuple too.

    Returns:
        Dict from a player to its Shapley value, of the type and shape of the worths.

    Raises:
        ValueError: if there is no player, a set of players is missing or there twice, or shapes
            differ.

    References:
        L. Shapley: A value for n-person games. 1953, https://doi.org/10.1515/9781400881970-018

    Example:

    >>> gloves = {(): 0, ("left",): 0, ("right",): 0, ("spare right",): 0}
    >>> gloves |= {("left", "right"): 1, ("left", "spare right"): 1}
    >>> gloves |= {("right", "spare right"): 0, ("left", "right", "spare right"): 1}
    >>> for player, worth in shapley_values(gloves).items():
    ...     print(f"{player:12s}{worth:.3f}")
    left        0.667
    right       0.167
    spare right 0.167
    """
    worth = {}
    for players, v in value.items():
        if (chosen := frozenset(players)) in worth or len(chosen) < len(players):
            raise ValueError(f"Expected every set of players once. Received {players!r} twice.")
        worth[chosen] = v
    players = list(dict.fromkeys(player for some in value for player in some))
    if not players:
        raise ValueError("Expected at least one player. Received: none.")
    shapes = {getattr(v, "shape", ()) for v in worth.values()}
    if len(shapes) > 1:
        raise ValueError(f"Expected worths of one shape. Received: {sorted(shapes)}.")
    subsets = [s for size in range(len(players) + 1) for s in combinations(players, size)]
    if missing := [some for some in subsets if frozenset(some) not in worth]:
        raise ValueError(
            f"Expected the worth of all {len(subsets)} sets of {players}. "
            f"Received {len(worth)}; missing: {missing[0]!r}."
        )
    total = factorial(len(players))
    values = {}
    for player in players:
        values[player] = (
            sum(
                factorial(len(before))
                * factorial(len(players) - len(before) - 1)
                * (worth[frozenset((*before, player))] - worth[frozenset(before)])
                for before in subsets
                if player not in before
            )
            / total
        )
    return values
