from itertools import combinations, permutations

import numpy as np
import pandas as pd
import pytest

from mmrec_tf.explain import shapley_values

RNG = np.random.default_rng(0)
PLAYERS = ("audio", "image", "text", "video")
SUBSETS = [some for size in range(5) for some in combinations(PLAYERS, size)]
WORTH = {some: RNG.normal(size=7) for some in SUBSETS}


def test_the_values_are_the_mean_over_all_orders_of_arrival():
    found = shapley_values(WORTH)
    for player in PLAYERS:
        gains = []
        for order in permutations(PLAYERS):
            before = order[: order.index(player)]
            gains.append(WORTH[tuple(sorted((*before, player)))] - WORTH[tuple(sorted(before))])
        np.testing.assert_allclose(found[player], np.mean(gains, axis=0), atol=1e-12)


def test_they_add_up_to_what_all_gain_over_none():
    together = sum(shapley_values(WORTH).values())
    np.testing.assert_allclose(together, WORTH[PLAYERS] - WORTH[()], atol=1e-12)


def test_each_gets_its_own_where_nothing_depends_on_company_and_a_pair_is_halved():
    alone = dict(zip(PLAYERS, (1.0, 2.0, 0.0, -3.0), strict=True))

    def worth(some):
        return 5 + sum(alone[player] for player in some) + 4 * ({"audio", "text"} <= set(some))

    found = shapley_values({some: worth(some) for some in SUBSETS})
    assert found == pytest.approx({"audio": 3.0, "image": 2.0, "text": 2.0, "video": -3.0})


def test_the_order_within_a_key_and_of_the_keys_means_nothing_and_a_series_keeps_its_users():
    users = pd.Index([4, 9, 2], name="user")
    worth = {some: pd.Series(WORTH[some][:3], users) for some in SUBSETS}
    found = shapley_values(worth)
    turned = shapley_values({some[::-1]: worth[some] for some in reversed(SUBSETS)})
    for player in PLAYERS:
        assert found[player].index.equals(users)
        np.testing.assert_allclose(found[player], turned[player])


def test_one_player_gets_everything():
    assert shapley_values({(): 1.0, ("text",): 3.5}) == {"text": 2.5}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "at least one player"),
        ({(): 0.0}, "at least one player"),
        ({(): 0, ("a",): 1, ("b",): 1}, r"all 4 sets.*Received 3; missing: \('a', 'b'\)"),
        ({("a",): 1}, r"all 2 sets.*missing: \(\)"),
        ({(): 0, ("a",): 1, ("b",): 1, ("a", "b"): 1, ("b", "a"): 2}, "twice"),
        ({(): 0, ("a", "a"): 1}, r"\('a', 'a'\) twice"),
        ({(): np.zeros(2), ("a",): np.zeros(3)}, r"one shape.*\(2,\), \(3,\)"),
    ],
)
def test_what_is_no_game_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        shapley_values(value)
