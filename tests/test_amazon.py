import gzip
import json
import tracemalloc
import warnings

import numpy as np
import pytest

from mmrec_tf import load_amazon_reviews
from mmrec_tf.datasets.faults import FolderError

# Records in the form of the data set's own description, shortened.
REVIEW = {
    "rating": 5.0,
    "title": "Such a lovely scent",
    "text": "This spray is really nice.",
    "images": [],
    "asin": "B00YQ6X8EO",
    "parent_asin": "B00YQ6X8EO",
    "user_id": "AGKHLEW2SOWHNMFQIJGBECAF7INQ",
    "timestamp": 1588687728923,
    "helpful_vote": 0,
    "verified_purchase": True,
}
PRODUCT = {
    "main_category": "All Beauty",
    "title": "Sea salt spray",
    "average_rating": 4.3,
    "rating_number": 384,
    "features": ["Coconut", "8 oz"],
    "description": ["A salty breeze,", "in a bottle."],
    "price": 14.99,
    "images": [
        {"thumb": "http://t/1", "large": None, "variant": "MAIN", "hi_res": "http://h/1"},
        {"thumb": "http://t/2", "large": "http://l/2", "variant": "PT01", "hi_res": None},
        {"thumb": "http://t/3", "large": "http://l/3", "variant": "PT02", "hi_res": None},
    ],
    "videos": [],
    "store": "Herbivore",
    "categories": ["Beauty", "Hair"],
    "details": {"Brand": "Herbivore"},
    "parent_asin": "B00YQ6X8EO",
    "bought_together": None,
}
REVIEWS, META = "All_Beauty.jsonl", "meta_All_Beauty.jsonl"


def lines(*records):
    """Write records, dicts or text as it is, as JSON lines."""
    return "".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in records).encode()


def make(folder, reviews=(REVIEW,), products=(PRODUCT,)):
    (folder / REVIEWS).write_bytes(lines(*reviews))
    (folder / META).write_bytes(lines(*products))
    return folder


def load(folder):
    """Load without a warning: what is loaded has nothing to warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_amazon_reviews(folder, "All_Beauty")


def faults(folder):
    with pytest.raises(FolderError) as caught:
        load_amazon_reviews(folder, "All_Beauty")
    return [(f.file, f.line, f.column, f.kind) for f in caught.value.faults]


def test_a_review_and_its_product(tmp_path):
    data = load(make(tmp_path))
    assert data.name == "Amazon Reviews 2023, All_Beauty"
    assert data.users.index.tolist() == ["AGKHLEW2SOWHNMFQIJGBECAF7INQ"]
    assert data.items.loc["B00YQ6X8EO"].to_dict() == {
        "title": "Sea salt spray",
        "category": "Beauty > Hair",
        "price": 14.99,
        "image_url": "http://l/2",
    }
    assert data.interactions.to_dict("list") == {
        "user": [0],
        "item": [0],
        "timestamp": [1588687728],
        "rating": [5.0],
    }
    text = "Sea salt spray\nCoconut 8 oz\nA salty breeze, in a bottle."
    assert data.modalities["text"][0] == text


def test_ids_stay_strings_and_rows_follow_the_files(tmp_path):
    products = [PRODUCT | {"parent_asin": i, "title": i} for i in ("0449819906", "B2", "0001")]
    reviews = [
        REVIEW | {"user_id": user, "parent_asin": item, "rating": rating, "timestamp": time}
        for user, item, rating, time in [
            ("Zoë", "0001", 1, 999),
            ("007", "0449819906", 4.0, 1_600_000_000_999),
            ("Zoë", "0449819906", 3.0, 1_500_000_000_000),
        ]
    ]
    data = load(make(tmp_path, reviews, products))
    assert data.users.index.tolist() == ["Zoë", "007"]
    assert data.items.index.tolist() == ["0449819906", "B2", "0001"]
    log = data.interactions
    assert log["user"].tolist() == [0, 1, 0]
    assert log["item"].tolist() == [2, 0, 0]
    assert log["rating"].tolist() == [1, 4, 3]
    assert log["timestamp"].tolist() == [0, 1_600_000_000, 1_500_000_000]


@pytest.mark.parametrize("compressed", [REVIEWS, META])
def test_compressed_files_give_the_same(tmp_path, compressed):
    plain = load(make(tmp_path))
    data = (tmp_path / compressed).read_bytes()
    (tmp_path / compressed).unlink()
    (tmp_path / f"{compressed}.gz").write_bytes(gzip.compress(data))
    other = load(tmp_path)
    assert other.items.equals(plain.items)
    assert other.interactions.equals(plain.interactions)


@pytest.mark.parametrize(
    ("change", "column", "expected"),
    [
        ({"price": None}, "price", np.nan),
        ({"price": 7}, "price", 7.0),
        ({"price": "14.99"}, "price", 14.99),
        ({"price": "$1,014.99"}, "price", 1014.99),
        ({"price": "from 14.99"}, "price", 14.99),
        ({"price": "None"}, "price", np.nan),
        ({"price": ""}, "price", np.nan),
        ({"price": "—"}, "price", np.nan),
        ({"categories": []}, "category", "All Beauty"),
        ({"categories": None, "main_category": None}, "category", ""),
        ({"images": []}, "image_url", ""),
        ({"images": None}, "image_url", ""),
        ({"images": [{"large": ""}]}, "image_url", ""),
        ({"images": [{"large": ""}, {"large": "http://l/2"}]}, "image_url", "http://l/2"),
        ({"title": None}, "title", ""),
    ],
)
def test_what_a_product_may_lack(tmp_path, change, column, expected):
    value = load(make(tmp_path, products=[PRODUCT | change])).items[column].iloc[0]
    assert value == pytest.approx(expected, nan_ok=True) if column == "price" else value == expected


def test_a_product_without_any_text_has_no_text(tmp_path):
    bare = {"parent_asin": "B00YQ6X8EO"}
    data = load(make(tmp_path, products=[bare]))
    assert not data.modalities["text"].present.any()
    only_title = PRODUCT | {"features": [], "description": []}
    assert load(make(tmp_path, products=[only_title])).modalities["text"][0] == "Sea salt spray"


def test_repeated_reviews_of_a_pair_are_kept_and_counted(tmp_path):
    again = REVIEW | {"rating": 2.0, "timestamp": REVIEW["timestamp"] + 10**9}
    other = REVIEW | {"user_id": "A2"}
    make(tmp_path, [REVIEW, other, again, REVIEW])
    with pytest.warns(UserWarning, match="2 reviews are of a user") as caught:
        data = load_amazon_reviews(tmp_path, "All_Beauty")
    assert data.interactions["rating"].tolist() == [5, 5, 2, 5]
    assert "an item that an earlier line has too, 1 of them at the same second. They are kept" in (
        str(caught[0].message)
    )
    assert caught[0].filename == __file__


def test_pairs_are_told_apart_by_both_user_and_item(tmp_path):
    products = [PRODUCT | {"parent_asin": f"B{n}"} for n in range(3)]
    reviews = [
        REVIEW | {"user_id": f"A{user}", "parent_asin": f"B{item}"}
        for user in range(3)
        for item in range(3)
    ]
    assert len(load(make(tmp_path, reviews, products)).interactions) == 9


def test_reviewed_items_without_metadata_are_kept_and_counted(tmp_path):
    make(tmp_path, [REVIEW | {"parent_asin": "B9"}, REVIEW])
    with pytest.warns(UserWarning, match="1 reviewed items have no metadata"):
        data = load_amazon_reviews(tmp_path, "All_Beauty")
    assert data.items.index.tolist() == ["B00YQ6X8EO", "B9"]
    assert data.items["title"].tolist() == ["Sea salt spray", ""]
    assert data.interactions["item"].tolist() == [1, 0]
    assert data.modalities["text"].present.tolist() == [True, False]


def test_metadata_that_is_not_taken_is_counted(tmp_path):
    products = [PRODUCT | {"price": "8.00 - 9.00"}, PRODUCT | {"title": "Another"}]
    make(tmp_path, products=products)
    with pytest.warns(UserWarning, match="1 prices are no number") as caught:
        data = load_amazon_reviews(tmp_path, "All_Beauty")
    assert data.items["title"].tolist() == ["Sea salt spray"]
    assert np.isnan(data.items["price"]).all()
    message = str(caught[0].message)
    assert (
        "1 prices are no number: they are missing. The first is '8.00 - 9.00' (meta_All" in message
    )
    assert "line 1)" in message
    assert "1 lines of metadata are of an item that an earlier line has: the first" in message
    assert "'B00YQ6X8EO' (meta_All_Beauty.jsonl, line 2)" in message


@pytest.mark.parametrize(
    ("record", "column", "kind"),
    [
        ("{broken\n", None, "not JSON"),
        ("[1]\n", None, "not JSON"),
        ({k: v for k, v in REVIEW.items() if k != "user_id"}, "user_id", "missing field"),
        ({k: v for k, v in REVIEW.items() if k != "rating"}, "rating", "missing field"),
        (REVIEW | {"user_id": ""}, "user_id", "bad user_id"),
        (REVIEW | {"parent_asin": 5}, "parent_asin", "bad parent_asin"),
        (REVIEW | {"rating": "5"}, "rating", "bad rating"),
        (REVIEW | {"rating": True}, "rating", "bad rating"),
        (REVIEW | {"rating": float("nan")}, "rating", "bad rating"),
        (REVIEW | {"rating": float("inf")}, "rating", "bad rating"),
        (REVIEW | {"rating": -1}, "rating", "bad rating"),
        (REVIEW | {"timestamp": 1588687728923.5}, "timestamp", "bad timestamp"),
        (REVIEW | {"timestamp": "2020-05-05"}, "timestamp", "bad timestamp"),
        (REVIEW | {"timestamp": -1}, "timestamp", "bad timestamp"),
        (REVIEW | {"timestamp": 1588687728923000}, "timestamp", "bad timestamp"),
    ],
)
def test_faulty_reviews_are_named(tmp_path, record, column, kind):
    make(tmp_path, [REVIEW, "\n", record, REVIEW, record])
    assert faults(tmp_path) == [(REVIEWS, 3, column, kind), (REVIEWS, 5, column, kind)]


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"parent_asin": None}, "parent_asin"),
        ({"title": 5}, "title"),
        ({"features": [1]}, "features"),
        ({"description": {"a": "b"}}, "description"),
        ({"categories": "Beauty"}, "categories"),
        ({"categories": [], "main_category": 5}, "main_category"),
        ({"images": {"large": ["http://l/2"]}}, "images"),
        ({"images": ["http://l/2"]}, "images"),
    ],
)
def test_faulty_metadata_is_named(tmp_path, change, column):
    make(tmp_path, products=[PRODUCT, PRODUCT | {"parent_asin": "B2"} | change])
    assert faults(tmp_path) == [(META, 2, column, f"bad {column}")]


def test_an_error_reads_well_and_ends_soon(tmp_path):
    make(tmp_path, [REVIEW | {"rating": None}] * 1000)
    with pytest.raises(FolderError) as caught:
        load_amazon_reviews(tmp_path, "All_Beauty")
    assert len(caught.value.faults) == 100
    text = str(caught.value)
    assert "All_Beauty.jsonl, line 1, rating: 'None'. Expected a finite number, 0 or more." in text
    assert "Behind these lines it was not read." in text


def test_seconds_instead_of_milliseconds(tmp_path):
    make(tmp_path, [REVIEW | {"timestamp": 1588687728}] * 2)
    assert faults(tmp_path) == [(REVIEWS, None, "timestamp", "bad timestamp")]


def test_not_utf8(tmp_path):
    make(tmp_path)
    (tmp_path / REVIEWS).write_bytes(lines(REVIEW) + b'{"title": "caf\xe9"}\n')
    assert faults(tmp_path) == [(REVIEWS, 2, None, "not JSON")]


def test_no_reviews(tmp_path):
    assert faults(make(tmp_path, reviews=[])) == [(REVIEWS, None, None, "no reviews")]


def test_a_download_that_was_cut_off(tmp_path):
    make(tmp_path)
    reviews = [REVIEW | {"user_id": f"A{n}" * 20} for n in range(2000)]
    whole = gzip.compress(lines(*reviews))
    (tmp_path / REVIEWS).unlink()
    (tmp_path / f"{REVIEWS}.gz").write_bytes(whole[: len(whole) // 2])
    [(file, line, _, kind)] = faults(tmp_path)
    assert (file, kind) == (f"{REVIEWS}.gz", "truncated file")
    assert 1 < line < 2000
    (tmp_path / f"{REVIEWS}.gz").write_bytes(lines(REVIEW))
    assert faults(tmp_path) == [(f"{REVIEWS}.gz", 1, None, "truncated file")]


@pytest.mark.parametrize("missing", [REVIEWS, META])
def test_a_missing_file_says_where_to_get_it(tmp_path, missing):
    make(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_amazon_reviews(str(tmp_path), "All_Beauty")
    message = str(caught.value)
    assert f"{tmp_path / missing} or {tmp_path / missing}.gz is missing" in message
    assert "https://amazon-reviews-2023.github.io" in message
    assert "available for research" in message


def test_memory_is_that_of_the_log_not_of_the_file(tmp_path):
    n, text = 200_000, "Really nice. " * 25
    with open(tmp_path / REVIEWS, "w") as file:
        for k in range(n):
            file.write(
                f'{{"rating": {k % 5 + 1}.0, "title": "Fine", "text": "{text}", "images": [], '
                f'"asin": "B{k % 997}", "parent_asin": "B{k % 997}", "user_id": "A{k // 4}", '
                f'"timestamp": {1_500_000_000_000 + k}, "helpful_vote": 0, '
                '"verified_purchase": true}\n'
            )
    (tmp_path / META).write_bytes(lines(*(PRODUCT | {"parent_asin": f"B{k}"} for k in range(997))))
    size = (tmp_path / REVIEWS).stat().st_size
    assert size > 80e6
    tracemalloc.start()
    try:
        data = load(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 4, f"{peak / 1e6} of {size / 1e6} MB"
    assert (data.n_users, data.n_items, len(data.interactions)) == (50_000, 997, n)
    k = 123_456
    assert data.interactions.iloc[k].tolist() == [k // 4, k % 997, 1_500_000_123, k % 5 + 1]
