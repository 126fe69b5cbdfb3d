import numpy as np
import pandas as pd
import pytest

from mmrec_tf.datasets.worlds.behaviour import (
    draw_recent_slates,
    draw_slates,
    draw_visits,
    impressions,
    respond,
)

DAY = 86_400


def test_everybody_comes_as_often_as_told_and_in_time():
    counts = np.array([3, 0, 50, 1])
    joined = np.array([0, 0, 1000, 4999])
    visits = draw_visits(1, counts, joined, 5000)
    np.testing.assert_array_equal(np.bincount(visits["user"], minlength=4), counts)
    assert (visits["timestamp"] >= joined[visits["user"]]).all()
    assert (visits["timestamp"] < 5000).all()
    assert visits["timestamp"].is_monotonic_increasing
    # A user's visits do not depend on who else there is.
    alone = draw_visits(1, np.array([3]), joined[:1], 5000)
    both = visits[visits["user"] == 0]
    np.testing.assert_array_equal(alone["timestamp"], both["timestamp"])


def test_hours_of_the_day_are_as_busy_as_told():
    hours = np.ones(24)
    hours[[3, 20]] = 0, 9
    visits = draw_visits(0, np.full(2000, 10), np.full(2000, 7 * DAY), 17 * DAY, hours=hours)
    assert visits["timestamp"].between(7 * DAY, 17 * DAY - 1).all()
    share = np.bincount(visits["timestamp"] // 3600 % 24, minlength=24) / len(visits)
    np.testing.assert_allclose(share, hours / hours.sum(), atol=0.01)
    days = np.bincount(visits["timestamp"] // DAY - 7) / len(visits)
    np.testing.assert_allclose(days, 0.1, atol=0.01)


def test_equal_weights_give_everyone_an_equal_chance_and_none_without_weight():
    n, size = 20_000, 3
    slates = draw_slates(0, n, lambda visits: np.ones((len(visits), 9)) * (np.arange(9) != 4), size)
    share = np.bincount(slates.ravel(), minlength=9) / n
    expected = np.where(np.arange(9) == 4, 0, size / 8)
    np.testing.assert_allclose(share, expected, atol=4 * np.sqrt(0.25 / n))
    first = np.bincount(slates[:, 0], minlength=9) / n
    np.testing.assert_allclose(first, expected / size, atol=4 * np.sqrt(0.25 / n))
    assert (np.sort(slates, axis=1)[:, 1:] != np.sort(slates, axis=1)[:, :-1]).all()


def test_three_times_the_weight_is_shown_first_in_five_of_six_lists():
    """3 / u > 1 / v unless v < u / 3, which has probability 1/6."""
    slates = draw_slates(3, 20_000, lambda visits: np.tile([1.0, 3.0], (len(visits), 1)), 1)
    assert np.mean(slates == 1) == pytest.approx(5 / 6, abs=4 * np.sqrt(5 / 36 / 20_000))


def test_lists_end_where_nothing_is_left_and_do_not_depend_on_blocks():
    def weigh(visits):
        return (np.arange(6) < visits[:, None] % 4) * 1.0

    slates = draw_slates(0, 40, weigh, 5)
    np.testing.assert_array_equal((slates >= 0).sum(axis=1), np.arange(40) % 4)
    assert (slates[:, 3:] == -1).all()
    np.testing.assert_array_equal(draw_slates(0, 40, weigh, 5, block=7), slates)
    with pytest.raises(ValueError, match=r"`size` in \[1, 6\]. Received: 7"):
        draw_slates(0, 40, weigh, 7)


def test_what_is_not_there_yet_or_no_more_is_not_shown():
    born, times = np.array([0, 10, 20, 20, 35]), np.array([-1, 0, 19, 20, 30, 31, 100])
    weighed = []

    def weigh(visits, items, ages):
        weighed.append((items, ages))
        return np.ones(items.shape)

    slates = draw_recent_slates(0, times, born, 10, weigh, 3)
    shown = [sorted(row[row >= 0].tolist()) for row in slates]
    # At most 10 seconds old, and the other places empty at the end.
    assert shown == [[], [0], [1], [1, 2, 3], [2, 3], [], []]
    assert (np.diff((slates >= 0).astype(int), axis=1) <= 0).all()
    items, ages = (np.concatenate([pair[n] for pair in weighed[1:]]) for n in (0, 1))
    np.testing.assert_array_equal(ages, np.maximum(times[:, None] - born[items], 0))


def test_attention_falls_down_the_list():
    n = 20_000
    slates = np.tile(np.arange(6), (n, 1))
    picked = respond(0, np.arange(n), slates, np.full((n, 6), 9.0), attention=0.5)
    expected = 1 / (1 + 0.5 * np.arange(6))
    np.testing.assert_allclose(picked.mean(axis=0), expected, atol=4 * np.sqrt(0.25 / n))
    assert respond(0, np.arange(n), slates, np.full((n, 6), 9.0), attention=0).all()


def test_what_is_wanted_is_picked_by_utility_and_mood():
    n = 20_000
    slates = np.tile(np.arange(3), (n, 1))
    utility = np.tile([0.0, 1.0, -np.inf], (n, 1))
    picked = respond(0, np.arange(n), slates, utility, noise=2.0, attention=0)
    # Of a normal number with deviation 2: the share above 0, and above -1.
    np.testing.assert_allclose(picked.mean(axis=0), [0.5, 0.6915, 0], atol=0.015)


def test_the_same_visitor_has_the_same_mood_in_another_list():
    n = 500
    visits = np.arange(n)
    likes = np.random.default_rng(0).normal(size=(n, 8))
    slates = np.tile(np.arange(8), (n, 1))
    picked = respond(0, visits, slates, likes, attention=0)
    other = np.random.default_rng(1).permuted(slates, axis=1)[:, :5]
    again = respond(0, visits, other, np.take_along_axis(likes, other, axis=1), attention=0)
    np.testing.assert_array_equal(again, np.take_along_axis(picked, other, axis=1))
    # And another one at another visit.
    assert (respond(0, visits + n, slates, likes, attention=0) != picked).mean() > 0.1


def test_nobody_picks_two_of_a_kind_and_the_first_one_stays():
    n = 300
    slates = np.random.default_rng(0).permuted(np.tile(np.arange(8), (n, 1)), axis=1)
    kinds = np.array([0, 1, 2, 0, 1, 2, 0, 0])
    utility = np.random.default_rng(1).normal(size=slates.shape)
    free = respond(0, np.arange(n), slates, utility)
    picked = respond(0, np.arange(n), slates, utility, kinds=kinds)
    for row in range(n):
        of = kinds[slates[row]]
        wanted = np.flatnonzero(free[row])
        firsts = [k for i, k in enumerate(wanted) if of[k] not in of[wanted[:i]]]
        np.testing.assert_array_equal(np.flatnonzero(picked[row]), firsts)


def test_empty_places_are_never_picked_and_bad_lists_are_named():
    slates = np.array([[2, -1, -1]])
    assert not respond(0, [0], slates, np.full((1, 3), 99.0), attention=0)[0, 1:].any()
    with pytest.raises(ValueError, match="item 2 twice in list 1"):
        respond(0, [0, 1], [[1, 2, 3], [2, 0, 2]], np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\(1, 3\), \(1, 2\) and \(1,\)"):
        respond(0, [0], slates, np.zeros((1, 2)))


def test_impressions_hold_every_item_shown_and_what_became_of_it():
    visits = pd.DataFrame({"user": [5, 9, 5], "timestamp": [1, 2, 3]}, index=[10, 11, 12])
    slates = np.array([[3, 1], [4, -1], [-1, -1]])
    picked = np.array([[False, True], [True, False], [False, False]])
    table = impressions(visits, slates, picked)
    assert table.to_dict("list") == {
        "visit": [10, 10, 11],
        "user": [5, 5, 9],
        "item": [3, 1, 4],
        "timestamp": [1, 1, 2],
        "position": [0, 1, 0],
        "picked": [False, True, True],
    }
