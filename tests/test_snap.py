import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec_tf import load_snap_graph
from mmrec_tf.datasets import snap
from mmrec_tf.datasets.faults import FolderError

# In the form of CollegeMsg, with an edge that is there twice and one from a person to itself.
EDGES = "1 2 1082040961\n3 4 1082155839\n5 2 1082414391\n5 2 1082414391\n4 4 1082439619\n"


def graph(folder, text, name="CollegeMsg.txt"):
    path = folder / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def faults(path):
    with pytest.raises(FolderError) as caught:
        load_snap_graph(path)
    return [(f.file, f.line, f.column, f.value, f.kind) for f in caught.value.faults]


@pytest.mark.parametrize("name", ["CollegeMsg.txt", "CollegeMsg.txt.gz"])
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace(" ", "\t"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "# Directed graph\n# SRC DST UNIXTS\n" + text.replace("\n3", "\n# 3\n\n3"),
    ],
)
def test_people_are_users_and_items(tmp_path, name, change):
    data = load_snap_graph(str(graph(tmp_path, change(EDGES), name)))
    assert data.name == "CollegeMsg"
    assert data.users.index.tolist() == data.items.index.tolist() == [1, 2, 3, 4, 5]
    assert data.interactions.to_dict("list") == {
        "user": [0, 2, 4, 4, 3],
        "item": [1, 3, 1, 1, 3],
        "timestamp": [1082040961, 1082155839, 1082414391, 1082414391, 1082439619],
    }


IDS = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.tuples(IDS, IDS, st.integers(0, 4_102_444_799)), min_size=1, max_size=20))
def test_round_trip(tmp_path_factory, edges):
    text = "".join(f"{a} {b} {t}\n" for a, b, t in edges)
    data = load_snap_graph(graph(tmp_path_factory.mktemp("snap"), text))
    log = data.interactions
    read = zip(
        data.users.index[log["user"]], data.items.index[log["item"]], log["timestamp"], strict=True
    )
    assert list(read) == edges
    assert np.array_equal(data.users.index, data.items.index)


@pytest.mark.parametrize(
    ("line", "column", "value", "kind"),
    [
        ("1 2", None, "1 2", "ragged row"),
        ("1 2 3 4", None, "1 2 3 4", "ragged row"),
        ("1 2 3 4 5", None, "1 2 3 4 5", "ragged row"),
        ("6,2,4,1289241912", None, "6,2,4,1289241912", "ragged row"),
        ("ann 2 1082040961", "SRC", "ann", "no integer"),
        ("1 2.5 1082040961", "DST", "2.5", "no integer"),
        ("1 9223372036854775808 1082040961", "DST", "9223372036854775808", "no integer"),
        ("1 2 2004-04-15", "timestamp", "2004-04-15", "no integer"),
        ("1 2 -1", "timestamp", "-1", "bad timestamp"),
        ("1 2 1082040961000", "timestamp", "1082040961000", "bad timestamp"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_faulty_lines_are_named(tmp_path, line, column, value, kind):
    text = "# SRC DST UNIXTS\n" + EDGES + "\n" + line + "\n" + EDGES
    path = graph(tmp_path, text)
    assert faults(path) == [("CollegeMsg.txt", 8, column, value, kind)]
    path = graph(tmp_path, line + "\n" + EDGES)
    assert faults(path) == [("CollegeMsg.txt", 1, column, value, kind)]


def test_milliseconds_are_told_as_such(tmp_path):
    with pytest.raises(FolderError, match="are these milliseconds"):
        load_snap_graph(graph(tmp_path, "1 2 1082040961000\n"))


def test_an_error_ends_soon(tmp_path):
    assert len(faults(graph(tmp_path, "1 2\n" * 1000))) == 100


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_no_edges(tmp_path, text):
    assert [kind for *_, kind in faults(graph(tmp_path, text))] == ["no edges"]


def test_a_download_that_was_cut_off(tmp_path):
    text = "".join(f"{k} {k * 7919 % 1013} {1082040961 + k * k}\n" for k in range(2000))
    path = graph(tmp_path, text, "CollegeMsg.txt.gz")
    path.write_bytes(path.read_bytes()[:-2000])
    [(file, line, *_, kind)] = faults(path)
    assert (file, kind) == ("CollegeMsg.txt.gz", "truncated file")
    assert 1 < line < 2000
    path.write_bytes(EDGES.encode())
    assert faults(path) == [("CollegeMsg.txt.gz", 1, None, None, "truncated file")]


def test_a_missing_file_says_where_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_snap_graph(tmp_path / "CollegeMsg.txt")
    message = str(caught.value)
    assert f"{tmp_path / 'CollegeMsg.txt'} is missing" in message
    assert "https://snap.stanford.edu/data" in message
    assert "no licence is stated" in message


def test_the_careful_reading_agrees_with_the_quick_one(tmp_path):
    path = graph(tmp_path, "# SRC DST UNIXTS\n\n" + EDGES)
    pd.testing.assert_frame_equal(snap._check_edges(path), snap._read_edges(path))


def test_a_comment_may_be_in_any_encoding(tmp_path):
    path = tmp_path / "CollegeMsg.txt"
    path.write_bytes(b"# Universit\xe9\n" + EDGES.encode())
    assert load_snap_graph(path).interactions["user"].tolist() == [0, 2, 4, 4, 3]
