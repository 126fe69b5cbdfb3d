import numpy as np
import pandas as pd
import pytest

from mmrec_tf import Dataset
from mmrec_tf.sequences import histories, next_items_data


@pytest.fixture(scope="module")
def data():
    """User u has the items 0, 1, …, 3u, in this order of time, rows shuffled."""
    rows = [(u, i, 1000 * u + i) for u in range(9) for i in range(3 * u + 1) if u != 4]
    log = pd.DataFrame(rows, columns=["user", "item", "timestamp"]).sample(frac=1, random_state=0)
    return Dataset("steps", pd.DataFrame(index=range(9)), pd.DataFrame(index=range(25)), log)


def test_histories_are_the_latest_items_latest_first(data):
    rows = histories(data, data.interactions, length=4)
    assert rows.dtype == "int32"
    assert rows.tolist() == [
        [0, -1, -1, -1],
        [3, 2, 1, 0],
        [6, 5, 4, 3],
        [9, 8, 7, 6],
        [-1, -1, -1, -1],
        *([3 * u, 3 * u - 1, 3 * u - 2, 3 * u - 3] for u in range(5, 9)),
    ]


def test_histories_know_only_the_rows_they_are_given(data):
    early = data.interactions[data.interactions["timestamp"] % 1000 < 2]
    assert histories(data, early, length=3)[8].tolist() == [1, 0, -1]
    assert np.all(histories(data, early.iloc[:0], length=3) == -1)


def test_ties_of_time_keep_the_order_of_the_rows():
    log = pd.DataFrame({"user": 0, "item": [2, 0, 1], "timestamp": 5})
    frame = pd.DataFrame(index=range(3))
    data = Dataset("ties", frame.iloc[:1], frame, log)
    assert histories(data, data.interactions, length=3).tolist() == [[1, 0, 2]]


def batches(data, **options):
    options = {"history_length": 30, "n_targets": 30, "batch_size": 7, **options}
    return list(next_items_data(data, data.interactions, **options).as_numpy_iterator())


def test_targets_follow_the_history_without_a_gap(data):
    for batch in batches(data, passes=20):
        for history, targets in zip(batch["history"], batch["targets"], strict=True):
            past, future = history[history >= 0], targets[targets >= 0]
            assert len(past) >= 1
            assert len(future) >= 1
            assert past.tolist() == list(range(len(past)))[::-1]
            assert future[0] == len(past)
            assert future.tolist() == list(range(len(past), len(past) + len(future)))
            # A user's whole sequence, and nobody else's, with padding at the end only.
            assert (len(past) + len(future) - 1) % 3 == 0
            assert history.tolist() == past.tolist() + [-1] * (30 - len(past))


def test_each_pass_has_every_user_with_two_items_once(data):
    (batch,) = batches(data)
    sizes = np.sum(batch["history"] >= 0, axis=1) + np.sum(batch["targets"] >= 0, axis=1)
    assert sorted(sizes) == [3 * u + 1 for u in range(1, 9) if u != 4]


def test_cuts_lie_in_the_second_half_and_differ(data):
    cuts = [
        np.sum(row >= 0)
        for batch in batches(data, passes=200)
        for row, targets in zip(batch["history"], batch["targets"], strict=True)
        if np.sum(row >= 0) + np.sum(targets >= 0) == 25
    ]
    assert (min(cuts), max(cuts)) == (12, 23)
    assert len(set(cuts)) == 12


def test_short_histories_and_targets_are_those_next_to_the_cut(data):
    for batch in batches(data, history_length=2, n_targets=1, passes=5):
        assert batch["history"].shape == (7, 2)
        assert np.all(batch["targets"][:, 0] == batch["history"][:, 0] + 1)


def test_left_over_users_wait(data):
    stream = next_items_data(
        data, data.interactions, history_length=5, n_targets=5, batch_size=3, passes=4
    )
    assert stream.cardinality() == 8
    assert len(list(stream)) == 8


def test_drawn_anew_in_every_iteration_and_the_same_for_a_seed(data):
    def twice(seed):
        stream = next_items_data(
            data, data.interactions, history_length=30, n_targets=30, batch_size=7, seed=seed
        )
        return [next(iter(stream.as_numpy_iterator()))["history"].tolist() for _ in range(2)]

    first, second = twice(0)
    assert first != second
    assert twice(0) == [first, second]
    assert twice(1)[0] != first


def test_too_few_users(data):
    with pytest.raises(ValueError, match=r"`batch_size` = 8 users with two .* Received: 7"):
        batches(data, batch_size=8)
