import itertools
import warnings

import numpy as np
import pandas as pd
import pytest

from mmrec_tf import load_mind, load_mind_impressions
from mmrec_tf.datasets import _published
from mmrec_tf.datasets.faults import FolderError
from mmrec_tf.datasets.worlds.behaviour import impressions

ENTITY = '[{"Label": "PGA Tour", "Type": "O", "SurfaceForms": ["PGA Tour"]}]'
# In the form of the data set's own description: quotes mean nothing, and fields may be empty.
NEWS = [
    ["N1", "sports", "golf", "PGA Tour winners", "A gallery.", "https://n/1", ENTITY, ENTITY],
    ["N2", "news", "newsus", '"Go!" he said, "and', "", "https://n/2", "[]", ""],
    ["N3", "news", "newsus", "Who won?", 'All "in" all', "https://n/3", "[]", "[]"],
    ["N4", "tv", "NA", "NA", "null", "https://n/4", "", "[]"],
]
VISITS = [
    ["1", "U9", "11/15/2019 10:22:32 AM", "N3 N1", "N1-0 N2-1 N4-1"],
    ["2", "U10", "11/9/2019 8:36:57 PM", "", "N3-1"],
    ["3", "U9", "11/13/2019 12:00:01 AM", "N3 N1", "N4-0 N3-0"],
    ["4", "U8", "11/13/2019 12:00:01 AM", "N2", "N2-1 N1-0"],
]


def seconds(text):
    return int(pd.Timestamp(text, tz="UTC").timestamp())


FIRST = seconds("2019-11-09 20:36:57")


def tsv(rows):
    return "".join(row if isinstance(row, str) else "\t".join(row) + "\n" for row in rows)


def make(folder, visits=VISITS, news=NEWS):
    (folder / "news.tsv").write_bytes(tsv(news).encode())
    (folder / "behaviors.tsv").write_bytes(tsv(visits).encode())
    return folder


def load(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_mind(folder)


def faults(folder, loader=load_mind):
    with pytest.raises(FolderError) as caught:
        loader(folder)
    return [(f.file, f.line, f.column, f.value, f.kind) for f in caught.value.faults]


@pytest.fixture(params=["one block", "a line a block", "CR LF"])
def folder(tmp_path, request, monkeypatch):
    make(tmp_path)
    if request.param == "a line a block":
        monkeypatch.setattr(_published, "BLOCK", 1)
    if request.param == "CR LF":
        for name in ("news.tsv", "behaviors.tsv"):
            data = (tmp_path / name).read_bytes().replace(b"\n", b"\r\n")
            (tmp_path / name).write_bytes(data + b"\r\n")
    return tmp_path


def test_news(folder):
    data = load(str(folder))
    assert data.items.index.tolist() == ["N1", "N2", "N3", "N4"]
    assert data.items.loc["N2"].to_dict() == {
        "category": "news",
        "subcategory": "newsus",
        "title": '"Go!" he said, "and',
        "abstract": "",
        "url": "https://n/2",
    }
    assert data.items.loc["N4", ["subcategory", "title", "abstract"]].tolist() == [
        "NA",
        "NA",
        "null",
    ]
    assert data.modalities["text"][np.arange(4)].tolist() == [
        "PGA Tour winners. A gallery.",
        '"Go!" he said, "and',
        'Who won? All "in" all',
        "NA. null",
    ]


def test_clicks_are_interactions_in_the_order_of_time(folder):
    data = load(folder)
    clicks = data.interactions[data.users["n_history"].sum() :]
    assert [
        (data.users.index[row.user], data.items.index[row.item], row.timestamp)
        for row in clicks.itertuples()
    ] == [
        ("U10", "N3", FIRST),
        ("U8", "N2", seconds("2019-11-13 00:00:01")),
        ("U9", "N2", seconds("2019-11-15 10:22:32")),
        ("U9", "N4", seconds("2019-11-15 10:22:32")),
    ]


def test_histories_come_before_the_log_in_their_order(folder):
    data = load(folder)
    assert data.users["n_history"].to_dict() == {"U10": 0, "U8": 1, "U9": 2}
    before = data.interactions[: data.users["n_history"].sum()]
    assert [
        (data.users.index[row.user], data.items.index[row.item], row.timestamp - FIRST)
        for row in before.itertuples()
    ] == [("U8", "N2", -1), ("U9", "N3", -2), ("U9", "N1", -1)]


def test_impressions_are_as_those_of_the_worlds(folder):
    shown = load_mind_impressions(folder)
    times = ["2019-11-09 20:36:57", "2019-11-13 00:00:01", "2019-11-13 00:00:01"]
    visits = pd.DataFrame(
        {"user": [0, 2, 1, 2], "timestamp": [*map(seconds, [*times, "2019-11-15 10:22:32"])]}
    )
    slates = np.array([[2, -1, -1], [3, 2, -1], [1, 0, -1], [0, 1, 3]])
    picked = np.array([[1, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 1]], bool)
    pd.testing.assert_frame_equal(shown, impressions(visits, slates, picked), check_dtype=False)
    assert shown["picked"].dtype == bool


def test_picked_impressions_are_the_clicks(folder):
    data, shown = load(folder), load_mind_impressions(folder)
    clicks = data.interactions[data.users["n_history"].sum() :]
    columns = ["user", "item", "timestamp"]
    picked = shown.loc[shown["picked"], columns].to_numpy()
    assert np.array_equal(picked, clicks[columns].to_numpy())


def test_histories_that_differ_are_told(tmp_path):
    visits = [
        ["1", "U9", "11/15/2019 10:22:32 AM", "N3", "N1-0"],
        ["2", "U9", "11/15/2019 10:22:33 AM", "N3 N1", "N1-1"],
        ["3", "U9", "11/15/2019 10:22:34 AM", "N4", "N1-1"],
    ]
    with pytest.warns(UserWarning, match="1 users have visits that differ in their history"):
        data = load_mind(make(tmp_path, visits))
    assert data.interactions["item"].tolist() == [2, 0, 0, 0]
    assert data.users["n_history"].tolist() == [2]


def test_no_histories_and_no_clicks(tmp_path):
    data = load(make(tmp_path, [["1", "U9", "11/15/2019 10:22:32 AM", "", "N1-0"]]))
    assert len(data.interactions) == 0
    assert data.n_users == 1


@pytest.mark.parametrize(
    ("row", "column", "value", "kind"),
    [
        (["5", "U9", "11/15/2019 10:22:32 AM", "N1"], None, None, "ragged row"),
        (["5", "U9", "11/15/2019 10:22:32 AM", "N1", "N1-0", "N2-0"], None, None, "ragged row"),
        (["5", "", "11/15/2019 10:22:32 AM", "N1", "N1-0"], "user", "", "empty value"),
        (["5", "U9", "15/11/2019 10:22:32 AM", "N3 N1", "N1-0"], "time", None, "bad time"),
        (["5", "U9", "11/15/2019 13:22:32 AM", "N3 N1", "N1-0"], "time", None, "bad time"),
        (["5", "U9", "1573813352", "N3 N1", "N1-0"], "time", None, "bad time"),
        (["5", "U9", "11/15/2019 10:22:32 AM", "N3 N1", ""], "impressions", "", "empty value"),
        (
            ["5", "U9", "11/15/2019 10:22:32 AM", "N3 N1", "N1-0 N2-2"],
            "impressions",
            "N2-2",
            "no label",
        ),
        (
            ["5", "U9", "11/15/2019 10:22:32 AM", "N3 N1", "N1-0 N2"],
            "impressions",
            "N2",
            "no label",
        ),
        (
            ["5", "U9", "11/15/2019 10:22:32 AM", "N3 N1", "N1-0 N77-1"],
            "impressions",
            "N77",
            "unknown item",
        ),
        (["5", "U7", "11/15/2019 10:22:32 AM", "N1 N78", "N1-0"], "history", "N78", "unknown item"),
        (["5", "U7", "11/15/2019 10:22:32 AM", "N78", "N1-0"], "history", "N78", "unknown item"),
    ],
)
@pytest.mark.parametrize("block", [1, 2**24])
def test_faulty_visits_are_named(tmp_path, monkeypatch, row, column, value, kind, block):
    monkeypatch.setattr(_published, "BLOCK", block)
    make(tmp_path, [*VISITS, "\n", row, *VISITS])
    for loader in (load_mind, load_mind_impressions):
        [(file, line, given_column, given, given_kind)] = faults(tmp_path, loader)
        assert (file, line, given_column, given_kind) == ("behaviors.tsv", 6, column, kind)
        assert value is None or given == value


def test_the_test_set_has_no_labels(tmp_path):
    make(tmp_path, [["1", "U9", "11/15/2019 10:22:32 AM", "N1", "N1 N2"]])
    with pytest.raises(FolderError, match="the published test set does not say"):
        load_mind_impressions(tmp_path)


@pytest.mark.parametrize(
    ("row", "column", "kind"),
    [
        (NEWS[0][:7], None, "ragged row"),
        (["", *NEWS[0][1:]], "id", "empty value"),
        (NEWS[0], "id", "repeated id"),
    ],
)
def test_faulty_news_is_named(tmp_path, row, column, kind):
    make(tmp_path, news=[*NEWS, row])
    [(*place, _, given)] = faults(tmp_path)
    assert (*place, given) == ("news.tsv", 5, column, kind)


def test_not_utf8(tmp_path):
    make(tmp_path)
    (tmp_path / "news.tsv").write_bytes(tsv(NEWS).encode().replace(b"Who", b"Wh\xf6"))
    assert faults(tmp_path) == [("news.tsv", 3, None, "byte 0xf6", "wrong encoding")]


@pytest.mark.parametrize(
    ("name", "kind"), [("news.tsv", "no news"), ("behaviors.tsv", "no impressions")]
)
@pytest.mark.parametrize("text", ["", "\n\n"])
def test_empty_files(tmp_path, name, kind, text):
    make(tmp_path)
    (tmp_path / name).write_text(text)
    assert faults(tmp_path) == [(name, None, None, None, kind)]


@pytest.mark.parametrize(
    ("missing", "loader"),
    list(itertools.product(["news.tsv", "behaviors.tsv"], [load_mind, load_mind_impressions])),
)
def test_a_missing_file_says_where_to_get_it(tmp_path, missing, loader):
    make(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        loader(tmp_path)
    message = str(caught.value)
    assert f"{tmp_path / missing} is missing" in message
    assert "https://msnews.github.io" in message
    assert "Microsoft Research License Terms" in message
