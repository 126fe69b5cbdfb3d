import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from mmrec_tf import (
    Dataset,
    check_no_leakage,
    global_temporal_split,
    item_cold_start_split,
    kfold_split,
    leave_last_out_split,
    per_user_temporal_split,
    user_cold_start_split,
)


def dataset(rows, n_users=None, n_items=None):
    """Make a data set of (user, item, timestamp) rows."""
    log = pd.DataFrame(rows, columns=["user", "item", "timestamp"]).astype("int64")
    users = pd.DataFrame(index=range(n_users or log["user"].max() + 1))
    items = pd.DataFrame(index=range(n_items or log["item"].max() + 1))
    return Dataset("test", users, items, log)


def rows(part):
    return part.index.tolist()


# Few users, items and seconds, so that pairs repeat and times tie.
logs = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 20)), min_size=4, max_size=60
)
shares = st.sampled_from([(0.2, 0.1), (0.3, 0.3), (0.5, 0.0), (0.1, 0.6)])

SPLITS = {
    "global": lambda data, test, validation: [
        global_temporal_split(data, test=test, validation=validation)
    ],
    "user": lambda data, test, validation: [
        per_user_temporal_split(data, test=test, validation=validation)
    ],
    "last": lambda data, test, validation: [leave_last_out_split(data)],
    "item cold": lambda data, test, validation: [
        item_cold_start_split(data, test=test, validation=validation, seed=1)
    ],
    "user cold": lambda data, test, validation: [
        user_cold_start_split(data, test=test, validation=validation, given=0.5, seed=1)
    ],
    "kfold": lambda data, test, validation: kfold_split(data, k=3, seed=1),
}


@pytest.mark.parametrize("kind", SPLITS)
@settings(max_examples=40)
@given(log=logs, share=shares)
def test_no_split_leaks(kind, log, share):
    """The promises, checked here in plain loops, not by the code under test."""
    data = dataset(log, n_users=6, n_items=7)
    try:
        splits = SPLITS[kind](data, *share)
    except ValueError as error:
        # Too small a log is no case; a leak that a split finds in itself is a fault.
        if not re.search("leave .* empty|`k` from 3", str(error)):
            raise
        reject()
    for split in splits:
        parts = [split.train, split.validation, split.test, split.given, split.excluded]
        assert sorted(row for part in parts for row in rows(part)) == list(range(len(log)))
        for part in parts:
            pd.testing.assert_frame_equal(
                part[["user", "item", "timestamp"]],
                data.interactions.loc[part.index, ["user", "item", "timestamp"]],
            )
        records = [[log[row] for row in rows(part)] for part in parts[:4]]
        train, validation, test, shown = records
        for earlier, later in [(train, validation), (train, test), (validation, test)]:
            for user, item, time in earlier:
                for other_user, other_item, other_time in later:
                    assert (user, item) != (other_user, other_item)
                    if kind == "global":
                        assert time < other_time
                    if kind in ("user", "last") and user == other_user:
                        assert time <= other_time
                    if kind == "item cold":
                        assert item != other_item
                    if kind in ("user cold", "kfold"):
                        assert user != other_user
        for user, item, time in shown:
            assert user not in {row[0] for row in train}
            for other_user, other_item, other_time in validation + test:
                assert (user, item) != (other_user, other_item)
                assert user != other_user or time <= other_time
        if kind == "item cold":
            assert {row[0] for row in validation + test} <= {row[0] for row in train}
        assert set(split.excluded["reason"]) <= {
            "pair stands in an earlier part",
            "user without an interaction in train",
        }


@pytest.mark.parametrize("kind", SPLITS)
@settings(max_examples=40)
@given(log=logs)
def test_same_arguments_same_split(kind, log):
    data = dataset(log, n_users=6, n_items=7)
    try:
        first, second = (SPLITS[kind](data, 0.3, 0.2) for _ in range(2))
    except ValueError:
        return
    for one, other in zip(first, second, strict=True):
        for name in ("train", "validation", "test", "given", "excluded"):
            pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))


def test_global_temporal_by_hand():
    data = dataset([(0, i, 10 * i) for i in range(10)])
    split = global_temporal_split(data, test=0.2, validation=0.3)
    assert (rows(split.train), rows(split.validation), rows(split.test)) == (
        [0, 1, 2, 3, 4],
        [5, 6, 7],
        [8, 9],
    )
    assert rows(split.train_and_validation) == [0, 1, 2, 3, 4, 5, 6, 7]


def test_global_temporal_keeps_a_second_together():
    times = [0, 1, 2, 3, 5, 5, 5, 5, 8, 9]
    split = global_temporal_split(
        dataset([(0, i, t) for i, t in enumerate(times)]), test=0.3, validation=0.2
    )
    # Row 7 is where test would begin, row 5 where validation would: both are the second 5.
    assert (rows(split.train), rows(split.validation)) == ([0, 1, 2, 3], [])
    assert rows(split.test) == [4, 5, 6, 7, 8, 9]


def test_global_temporal_excludes_repeated_pairs():
    data = dataset([(0, 0, 0), (0, 1, 1), (1, 0, 2), (0, 0, 3), (1, 1, 4)])
    split = global_temporal_split(data, test=0.4, validation=0)
    assert rows(split.test) == [4]
    assert split.excluded["reason"].to_dict() == {3: "pair stands in an earlier part"}


def test_pairs_are_told_apart_beyond_32_bits():
    # 61357 × 70000 + 0 and 0 × 70000 + 22704 differ by 2 ** 32.
    log = [(61357, 0, 0), (0, 22704, 1), (1, 1, 2), (1, 2, 3)]
    split = global_temporal_split(dataset(log, 70_000, 70_000), test=0.75, validation=0)
    assert (rows(split.train), rows(split.test)) == ([0], [1, 2, 3])


@pytest.mark.parametrize(
    ("size", "n_train", "n_validation"), [(1, 0, 0), (2, 1, 0), (5, 3, 1), (10, 7, 1), (20, 14, 2)]
)
def test_per_user_temporal_sizes(size, n_train, n_validation):
    data = dataset([(0, i, 0) for i in range(size)] + [(1, i, i) for i in range(10)])
    split = per_user_temporal_split(data)
    counts = [np.sum(part["user"] == 0) for part in (split.train, split.validation, split.test)]
    assert counts == [n_train, n_validation, size - n_train - n_validation]
    # Ties of time keep the order of the data set.
    assert rows(split.train)[:n_train] == list(range(n_train))


def test_per_user_temporal_orders_by_time_not_by_row():
    split = per_user_temporal_split(
        dataset([(0, 0, 30), (0, 1, 10), (0, 2, 40), (0, 3, 20)]), test=0.25, validation=0.25
    )
    assert (rows(split.train), rows(split.validation), rows(split.test)) == ([1, 3], [0], [2])


def test_shares_are_not_lost_to_binary_fractions():
    # 10 × (1 − 0.7) is 2.999… in floating point.
    data = dataset([(0, i, i) for i in range(10)])
    for split in (
        per_user_temporal_split(data, test=0.7, validation=0),
        global_temporal_split(data, test=0.7, validation=0),
    ):
        assert len(split.train) == 3


def test_leave_last_out_by_hand():
    data = dataset(
        [(0, 0, 3), (0, 1, 1), (0, 2, 2), (1, 0, 1), (1, 1, 2), (2, 0, 4), (2, 1, 4), (2, 2, 4)]
    )
    split = leave_last_out_split(data)
    # User 1 has two interactions only; of user 2's, all at the same time, the last rows count.
    assert (rows(split.train), rows(split.validation), rows(split.test)) == (
        [1, 3, 4, 5],
        [2, 6],
        [0, 7],
    )


def test_leave_last_out_trains_on_all_but_two():
    split = leave_last_out_split(dataset([(0, i, i) for i in range(6)]))
    assert (rows(split.train), rows(split.validation), rows(split.test)) == (
        [0, 1, 2, 3],
        [4],
        [5],
    )


def test_item_cold_start_holds_out_the_shares():
    rng = np.random.default_rng(0)
    data = dataset(np.c_[rng.integers(0, 40, 2000), rng.integers(0, 100, 2000), np.zeros(2000)])
    split = item_cold_start_split(data, test=0.2, validation=0.1)
    counts = [part["item"].nunique() for part in (split.train, split.validation, split.test)]
    assert counts == [70, 10, 20]
    other = item_cold_start_split(data, test=0.2, validation=0.1, seed=7)
    assert set(other.test["item"]) != set(split.test["item"])


@pytest.mark.parametrize(
    ("split", "defaults"),
    [
        (item_cold_start_split, {"test": 0.2, "validation": 0.1, "seed": 0}),
        (user_cold_start_split, {"test": 0.2, "validation": 0.1, "given": 0.0, "seed": 0}),
        (
            lambda *args, **options: kfold_split(*args, **options)[0],
            {"k": 5, "given": 0.8, "seed": 0},
        ),
    ],
)
def test_defaults_of_the_random_splits(split, defaults):
    data = dataset(GRID)
    for name in ("train", "validation", "test", "given"):
        assert rows(getattr(split(data), name)) == rows(getattr(split(data, **defaults), name))


def test_item_cold_start_excludes_strangers_from_validation_too():
    data = dataset([(user, item, 0) for user in range(4) for item in range(4)] + [(4, 3, 0)])
    in_validation = [
        split
        for seed in range(16)
        if 3
        in set(
            (split := item_cold_start_split(data, validation=0.25, seed=seed)).validation["item"]
        )
    ]
    assert in_validation
    for split in in_validation:
        assert split.excluded["reason"].to_dict() == {16: "user without an interaction in train"}


def test_item_cold_start_excludes_users_of_whom_nothing_is_left():
    # User 4 knows item 3 alone: whenever item 3 is held out, nothing is known of the user.
    data = dataset([(user, item, 0) for user in range(4) for item in range(4)] + [(4, 3, 0)])
    for seed in range(8):
        split = item_cold_start_split(data, test=0.25, validation=0, seed=seed)
        held_out = 3 in set(split.test["item"])
        expected = {16: "user without an interaction in train"} if held_out else {}
        assert split.excluded["reason"].to_dict() == expected


@pytest.mark.parametrize(("share", "n_given"), [(0.0, 0), (0.5, 5), (0.99, 9)])
def test_user_cold_start_gives_the_earliest(share, n_given):
    data = dataset([(user, item, -item) for user in range(10) for item in range(10)])
    split = user_cold_start_split(data, test=0.2, validation=0.1, given=share)
    assert [part["user"].nunique() for part in (split.train, split.validation, split.test)] == [
        7,
        1,
        2,
    ]
    assert len(split.given) == 3 * n_given
    # Time runs backwards through the items here.
    assert set(split.given["item"]) == set(range(10 - n_given, 10))
    assert set(split.test["item"]) == set(range(10 - n_given))


def test_user_cold_start_excludes_what_is_given_already():
    # Each user's last interaction repeats the first, which is given.
    data = dataset(
        [(user, item, time) for user in range(10) for time, item in enumerate((3, 1, 3))]
    )
    split = user_cold_start_split(data, test=0.2, validation=0.1, given=0.4)
    held_out = sorted({*split.test["user"], *split.validation["user"]})
    assert rows(split.given) == [3 * user for user in held_out]
    assert split.excluded["reason"].to_dict() == {
        3 * user + 2: "pair stands in an earlier part" for user in held_out
    }


def test_kfold_tests_every_user_once_and_validates_on_the_next_fold():
    data = dataset([(user, item, item) for user in range(11) for item in range(5)], n_users=13)
    splits = kfold_split(data, k=4, given=0.4)
    tested = [set(split.test["user"]) for split in splits]
    assert sorted(user for users in tested for user in users) == list(range(11))
    assert sorted(map(len, tested)) == [2, 3, 3, 3]
    for i, split in enumerate(splits):
        assert set(split.validation["user"]) == tested[(i + 1) % 4]
        assert set(split.train["user"]) == set(range(11)) - tested[i] - tested[(i + 1) % 4]
        assert set(split.test["item"]) == {2, 3, 4}
    assert [set(s.test["user"]) for s in kfold_split(data, k=4, seed=5)] != tested
    # At most as many folds as users with an interaction: each is tested alone.
    assert [s.test["user"].nunique() for s in kfold_split(data, k=11)] == [1] * 11


def broken(split, **parts):
    return dataclasses.replace(split, **parts)


def test_check_notices_what_is_lost_or_altered():
    data = dataset([(u, i, 10 * i + u) for u in range(3) for i in range(10)])
    split = per_user_temporal_split(data)
    check_no_leakage(split, data)
    faulty = [
        broken(split, train=split.train.iloc[1:]),
        broken(split, test=pd.concat([split.test, split.train.iloc[:1]])),
        broken(split, train=split.train.assign(timestamp=split.train["timestamp"] - 1)),
    ]
    for each in faulty:
        with pytest.raises(
            ValueError,
            match=r"^Expected the parts of a split to hold each interaction exactly once.$",
        ):
            check_no_leakage(each, data)


def moved(split, row, source, target):
    rows = getattr(split, source).loc[[row]]
    return broken(
        split,
        **{
            source: getattr(split, source).drop(row),
            target: pd.concat([getattr(split, target), rows]),
        },
    )


GRID = [(u, i, 10 * i + u) for u in range(10) for i in range(10)]


@pytest.mark.parametrize(
    ("split", "source", "target", "promise"),
    [
        (per_user_temporal_split, "train", "validation", "one time a user"),
        (per_user_temporal_split, "train", "test", "one time a user"),
        (per_user_temporal_split, "validation", "test", "one time a user"),
        (global_temporal_split, "train", "validation", "one time for all"),
        (global_temporal_split, "train", "test", "one time for all"),
        (global_temporal_split, "validation", "test", "one time for all"),
        (item_cold_start_split, "train", "validation", "cold items"),
        (item_cold_start_split, "train", "test", "cold items"),
        (item_cold_start_split, "validation", "test", "cold items"),
        (user_cold_start_split, "train", "validation", "cold users"),
        (user_cold_start_split, "train", "test", "cold users"),
        (user_cold_start_split, "validation", "test", "cold users"),
        (user_cold_start_split, "train", "given", "cold users"),
    ],
)
def test_check_names_the_broken_promise(split, source, target, promise):
    data = dataset(GRID)
    good = split(data, validation=0.3)
    row = getattr(good, source).index[0]
    with pytest.raises(ValueError, match=rf"Leak: \d+ rows of {target}.*{promise}.* with "):
        check_no_leakage(moved(good, row, source, target), data)


def test_check_notices_one_second_on_both_sides_of_a_point_in_time():
    data = dataset([(0, 0, 0), (0, 1, 5), (0, 2, 5), (0, 3, 9)])
    split = global_temporal_split(data, test=0.25, validation=0)
    assert rows(split.train) == [0, 1, 2]
    with pytest.raises(ValueError, match="Leak: 1 rows of test break 'one time for all'"):
        check_no_leakage(moved(split, 2, "train", "test"), data)


def test_check_of_given_and_of_warm_users():
    data = dataset(GRID)
    split = user_cold_start_split(data, given=0.5)
    user = split.test["user"].iloc[0]
    late = split.test[split.test["user"] == user].index[-1]
    with pytest.raises(ValueError, match=r"rows of test break 'given first' with given"):
        check_no_leakage(moved(split, late, "test", "given"), data)
    cold = item_cold_start_split(data)
    gone = cold.train[cold.train["user"] == 0]
    silent = broken(
        cold,
        train=cold.train.drop(gone.index),
        excluded=gone.assign(reason="taken away"),
    )
    with pytest.raises(ValueError, match=r"break 'warm users' with train. The first: row \d+, "):
        check_no_leakage(silent, data)


@pytest.mark.parametrize(
    ("source", "target"), [("train", "test"), ("given", "test"), ("given", "validation")]
)
def test_check_notices_a_pair_on_both_sides(source, target):
    data = dataset([(u, i, 0) for u in range(10) for i in range(6)])
    split = user_cold_start_split(data, test=0.3, validation=0.2, given=0.5)
    row = getattr(split, target).iloc[0]
    twin = dataset([*data.interactions[["user", "item", "timestamp"]].to_numpy(), row.to_numpy()])
    added = twin.interactions.iloc[[-1]]
    leaky = broken(
        split, promises=("pairs apart",), **{source: pd.concat([getattr(split, source), added])}
    )
    with pytest.raises(ValueError, match=f"Leak: 1 rows of {target} break 'pairs apart' with"):
        check_no_leakage(leaky, twin)


def test_repr_tells_sizes_and_reasons():
    data = dataset([(0, 0, 0), (0, 1, 1), (1, 0, 2), (0, 0, 3), (1, 1, 4)])
    assert str(global_temporal_split(data, test=0.4, validation=0)).splitlines() == [
        "Split: one time for all, pairs apart",
        "  train                 3 interactions of 2 users and 2 items",
        "  validation            0 interactions",
        "  test                  1 interactions of 1 users and 1 items",
        "  given                 0 interactions",
        "  excluded              1 interactions of 1 users and 1 items",
        "    1: pair stands in an earlier part",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: per_user_temporal_split(d, test=0), r"`test` in \(0, 1\).*Received: 0 and 0.1"),
        (lambda d: per_user_temporal_split(d, test=0.9), r"Received: 0.9 and 0.1"),
        (lambda d: global_temporal_split(d, validation=-0.1), r"Received: 0.2 and -0.1"),
        (lambda d: global_temporal_split(d, test=1.0, validation=0), r"Received: 1.0 and 0"),
        (
            lambda d: global_temporal_split(d, test=0.5, validation=0.5),
            r"^Expected `test` in .* and `validation` in \[0, 1 - test\). Received: 0.5 and 0.5",
        ),
        (lambda d: item_cold_start_split(dataset([(0, 0, 0)][:0], 2, 2)), "0 inter.* leave train"),
        (lambda d: user_cold_start_split(d, given=1.0), r"`given` in \[0, 1\). Received: 1.0"),
        (lambda d: user_cold_start_split(d, given=-0.5), r"Received: -0.5"),
        (lambda d: item_cold_start_split(d, test=2), r"Received: 2 and 0.1"),
        (lambda d: kfold_split(d, k=2), r"`k` from 3 to 10.*Received: 2"),
        (lambda d: kfold_split(d, k=11), r"`k` from 3 to 10.*Received: 11"),
        (lambda d: global_temporal_split(dataset([(0, 0, 0)] * 9)), "9 inter.* leave train empty"),
        (lambda d: leave_last_out_split(dataset([(0, 0, 0), (0, 1, 0)])), "leave test empty"),
    ],
)
def test_arguments_that_cannot_be_split_by(call, message):
    with pytest.raises(ValueError, match=message):
        call(dataset(GRID))
