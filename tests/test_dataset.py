import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec_tf import Dataset, Modality

LOG = pd.DataFrame(
    {
        "user_id": ["zoë", "李", "zoë", "ann"],
        "item_id": [2**62, -7, -7, 2**62],
        "timestamp": [0, 86_400, 172_800, 86_400],
        "rating": [5, 3, 4, 1],
    }
)
PICTURES = np.arange(2 * 2 * 2 * 3, dtype="uint8").reshape(2, 2, 2, 3)


@pytest.fixture
def shop():
    return Dataset.from_log(
        "shop",
        LOG,
        items=pd.DataFrame({"title": ["mug", "lamp"]}, index=[2**62, -7]),
        modalities={
            "text": Modality.from_array(["a mug", ""]),
            "image": Modality.from_array(PICTURES, present=[False, True]),
        },
    )


def test_ids_inside_are_row_numbers(shop):
    log = shop.interactions
    assert log["item"].tolist() == [0, 1, 1, 0]
    assert [shop.users.index[user] for user in log["user"]] == LOG["user_id"].tolist()
    assert log.dtypes.astype(str).to_dict() == {
        "user": "int32",
        "item": "int32",
        "timestamp": "int64",
        "rating": "float32",
    }
    assert shop.item_index([-7, 2**62, -7]).tolist() == [1, 0, 1]
    assert shop.user_index(["zoë"]).tolist() == [shop.users.index.get_loc("zoë")]
    assert (shop.n_users, shop.n_items) == (3, 2)


@given(
    st.lists(
        st.tuples(st.text(max_size=5), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**40)),
        min_size=1,
        max_size=20,
    )
)
def test_round_trip_of_any_ids(rows):
    log = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    data = Dataset.from_log("any", log)
    assert data.users.index[data.interactions["user"]].tolist() == log["user_id"].tolist()
    assert data.items.index[data.interactions["item"]].tolist() == log["item_id"].tolist()
    assert data.interactions["timestamp"].tolist() == log["timestamp"].tolist()


def test_repr_tells_the_data(shop):
    assert str(shop).splitlines() == [
        "shop",
        "  users         3",
        "  items         2: title",
        "  interactions  4: 1.3 a user, density 66.67 %, 1970-01-01 to 1970-01-03, rating",
        "  text          text, 1 of 2 items",
        "  image         2×2×3 uint8, 1 of 2 items",
    ]
    assert repr(shop.modalities["image"]) == "Modality(2×2×3 uint8, 1 of 2 items)"
    sound = Modality.from_array(np.zeros((2, 16), "int16"), rate=8000)
    assert repr(sound) == "Modality(16 int16 at 8000 Hz, 2 of 2 items)"


def test_density_counts_pairs_once():
    log = pd.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 0, 1], "timestamp": [0, 1, 2]})
    assert "density 50.00 %" in str(Dataset.from_log("twice", log))


def test_no_interactions():
    log = LOG.iloc[:0]
    empty = Dataset.from_log("empty", log, users=pd.DataFrame(index=["a"]))
    assert str(empty).splitlines()[-1] == "  interactions  0"
    assert empty.n_items == 0


def test_absent_content_is_zeros_or_an_empty_string(shop):
    pictures = shop.modalities["image"][[0, 1, 1]]
    np.testing.assert_array_equal(pictures, np.stack([PICTURES[0] * 0, PICTURES[1], PICTURES[1]]))
    assert pictures.dtype == "uint8"
    assert shop.modalities["text"][[1, 0]].tolist() == ["", "a mug"]
    assert shop.modalities["text"][0] == "a mug"
    assert shop.modalities["image"][1].shape == (2, 2, 3)
    assert shop.modalities["image"][[]].shape == (0, 2, 2, 3)


def test_reads_only_what_is_asked_for_and_present():
    asked = []

    def read(items):
        asked.append(items.tolist())
        return np.ones((len(items), 2), "float32")

    modality = Modality(np.array([True, False, True]), read, (2,), "float32")
    assert modality[[2, 1]].tolist() == [[1, 1], [0, 0]]
    assert modality[1].tolist() == [0, 0]
    assert asked == [[2]]


@pytest.mark.parametrize(
    ("items", "error", "message"),
    [
        ([2], IndexError, r"items in \[0, 2\). Received: 2"),
        ([0, -1], IndexError, "Received: -1"),
        ([0.0], TypeError, "integers. Received: float64"),
        ([True, False], TypeError, "integers. Received: bool"),
    ],
)
def test_items_that_do_not_exist(shop, items, error, message):
    with pytest.raises(error, match=message):
        shop.modalities["image"][items]


def test_streams_interactions_in_order_with_content(shop):
    stream = shop.to_tf_data(batch_size=3, modalities=["text", "image"])
    assert stream.cardinality() == 2
    first, last = stream.as_numpy_iterator()
    assert first["user"].tolist() == shop.interactions["user"].tolist()[:3]
    assert first["rating"].tolist() == [5, 3, 4]
    assert first["text"].tolist() == [b"a mug", b"", b""]
    assert first["text_present"].tolist() == [True, False, False]
    assert first["image_present"].tolist() == [False, True, True]
    np.testing.assert_array_equal(first["image"], shop.modalities["image"][[0, 1, 1]])
    assert last["timestamp"].tolist() == [86_400]
    assert last["user"].dtype == "int32"


def test_streams_a_part(shop):
    part = shop.interactions.iloc[2:]
    (batch,) = shop.to_tf_data(part, batch_size=9).as_numpy_iterator()
    assert batch["timestamp"].tolist() == [172_800, 86_400]
    assert set(batch) == {"user", "item", "timestamp", "rating"}


def test_shuffles_anew_in_every_pass_and_the_same_for_a_seed():
    log = pd.DataFrame({"user_id": [0] * 50, "item_id": range(50), "timestamp": 0})
    data = Dataset.from_log("fifty", log)

    def passes(seed):
        stream = data.to_tf_data(batch_size=20, shuffle_seed=seed)
        return [
            np.concatenate([b["item"] for b in stream.as_numpy_iterator()]).tolist()
            for _ in range(2)
        ]

    first, second = passes(0)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert passes(0) == [first, second]
    assert passes(1)[0] != first


def test_streams_every_item_once(shop):
    batches = list(shop.items_to_tf_data(batch_size=1).as_numpy_iterator())
    assert [batch["item"].tolist() for batch in batches] == [[0], [1]]
    assert set(batches[0]) == {"item", "text", "text_present", "image", "image_present"}
    assert set(next(iter(shop.items_to_tf_data(batch_size=2, modalities=[])))) == {"item"}


def test_streaming_reads_no_more_than_it_hands_over():
    read_items = []

    def read(items):
        read_items.extend(items.tolist())
        return np.zeros((len(items), 4), "float32")

    n_items = 10_000
    log = pd.DataFrame({"user_id": 0, "item_id": range(n_items), "timestamp": 0})
    content = Modality(np.ones(n_items, bool), read, (4,), "float32")
    data = Dataset.from_log("long", log, modalities={"sound": content})
    stream = iter(data.to_tf_data(batch_size=10, modalities=["sound"]))
    assert read_items == []
    next(stream)
    assert len(read_items) < 100  # one batch, and those that are prefetched


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: d.to_tf_data(batch_size=0), "`batch_size` of at least 1. Received: 0"),
        (
            lambda d: d.to_tf_data(batch_size=1, modalities=["smell"]),
            r"among \['image', 'text'\]. Received: \['smell'\]",
        ),
        (
            lambda d: dataclasses.replace(d, users=d.users.iloc[:1]),
            r"`interactions.user` in \[0, 1",
        ),
        (
            lambda d: dataclasses.replace(d, interactions=d.interactions.drop(columns="item")),
            r"columns \['item'\] too",
        ),
        (
            lambda d: dataclasses.replace(d, interactions=d.interactions.assign(timestamp=0.5)),
            "`interactions.timestamp` to be integers.*Received: float64",
        ),
        (
            lambda d: dataclasses.replace(d, interactions=d.interactions.assign(rating=np.nan)),
            "`interactions.rating` to be numbers.*with 4 missing",
        ),
        (
            lambda d: dataclasses.replace(d, interactions=d.interactions.assign(item=-1)),
            r"`interactions.item` in \[0, 2\). Received: -1 in row 0",
        ),
        (
            lambda d: dataclasses.replace(d, items=d.items.set_axis([1, 1])),
            "ids of `items` to be distinct. Received twice: 1",
        ),
        (
            lambda d: dataclasses.replace(d, items=d.items.set_axis(["1", 2])),
            "ids of `items` to be all strings or all integers. Received: 2",
        ),
        (
            lambda d: dataclasses.replace(d, items=d.items.set_axis([1.0, 2.5])),
            "all strings or all integers. Received: 1.0",
        ),
        (
            lambda d: dataclasses.replace(
                d, modalities={"text": Modality.from_array(["a", "b", "c"])}
            ),
            "modality 'text' to have 2 items. Received: 3",
        ),
        (
            lambda d: Dataset.from_log("x", LOG, users=pd.DataFrame(index=["ann", "zoë"])),
            "Unknown user ids: '李'",
        ),
        (lambda d: Modality.from_array(["a"], present=[True, True]), "Received: 2 and 1"),
        (
            lambda d: Modality(np.ones(2), None, (), "float32"),
            r"bool array of shape \(n_items,\). Received: float64",
        ),
    ],
)
def test_faults_are_named(shop, call, message):
    with pytest.raises(ValueError, match=message):
        call(shop)


def test_unknown_ids_are_named(shop):
    with pytest.raises(KeyError, match="Unknown item ids: 5, 6"):
        shop.item_index([5, -7, 6, 5])
    with pytest.raises(KeyError, match="'a', 'b', 'c', 'd', 'e' and 2 more"):
        shop.user_index(list("abcdefg"))
