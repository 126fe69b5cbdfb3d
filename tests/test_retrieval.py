import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec_tf import FaissIndex, ItemIndex, load_index, retrieval

# How each kind of index is made, and how much it may miss of random vectors, the worst case.
KINDS = {
    "exact": (lambda ids, vectors: ItemIndex(ids, vectors), 1.0),
    "flat": (lambda ids, vectors: FaissIndex(ids, vectors, "Flat"), 1.0),
    "ivf": (lambda ids, vectors: FaissIndex(ids, vectors, "IVF16,Flat", "nprobe=12"), 0.9),
    "hnsw": (lambda ids, vectors: FaissIndex(ids, vectors, "HNSW16", "efSearch=200"), 0.95),
    "pq": (
        lambda ids, vectors: FaissIndex(ids, vectors, "PQ8x4fs,RFlat", "k_factor_rf=20"),
        0.9,
    ),
}


def unit(n, dim=16, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(n, dim)).astype("float32")
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def best(ids, vectors, queries, k, exclude=None):
    """Return the right answer: all scores, sorted by score and then by order of addition."""
    scores = queries @ vectors.T
    answers = []
    for query, row in enumerate(scores):
        out = set(exclude[query]) if exclude else set()
        order = [i for i in np.argsort(-row, kind="stable") if ids[i] not in out]
        answers.append([ids[i] for i in order[:k]])
    return answers


def recall(found, right):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, right, strict=True)])


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@given(
    st.integers(1, 40),
    st.integers(0, 2**16),
    st.integers(1, 64),
    st.data(),
)
def test_exact_in_any_blocks_with_ties_exclusions_and_changes(n, seed, scores_at_a_time, data):
    rng = np.random.default_rng(seed)
    # Small integers: float32 computes them exactly, and many scores are equal.
    vectors = rng.integers(-1, 2, (n + 5, 3)).astype("float32")
    queries = rng.integers(-1, 2, (4, 3)).astype("float32")
    ids = [f"item {number}" for number in rng.permutation(n + 5)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "_SCORES", scores_at_a_time)
        index = ItemIndex(ids[:n], vectors[:n])
        index.add(ids[n:], vectors[n:])
        removed = data.draw(st.sets(st.sampled_from(ids), max_size=n))
        index.remove(removed)
        kept = [row for row, id in enumerate(ids) if id not in removed]
        exclude = [data.draw(st.sets(st.sampled_from(ids), max_size=4)) for _ in queries]
        ids, vectors = [ids[row] for row in kept], vectors[kept]
        assert index.ids == ids
        assert len(index) == len(ids)
        np.testing.assert_array_equal(index.vectors(ids), vectors)
        for query, (vector, out) in enumerate(zip(queries, exclude, strict=True)):
            left = len(set(ids) - out)
            if left:
                found, scores = index.search([vector], left, exclude=[out])
                assert found.tolist() == best(ids, vectors, [vector], left, [out])
                by_id = dict(zip(ids, vectors @ queries[query], strict=True))
                assert scores[0].tolist() == [by_id[id] for id in found[0]]
            with pytest.raises(ValueError, match=f"with {left} of {len(ids)} items left for query"):
                index.search([vector], left + 1, exclude=[out])


def test_more_queries_than_are_searched_at_a_time(monkeypatch):
    monkeypatch.setattr(retrieval, "_QUERIES", 7)
    vectors, queries = unit(300), unit(20, seed=1)
    exclude = [range(query, query + query % 5) for query in range(20)]
    found, _ = ItemIndex(range(300), vectors).search(queries, 10, exclude=exclude)
    assert found.tolist() == best(range(300), vectors, queries, 10, exclude)


def test_recall_of_every_kind(kind):
    make, bound = KINDS[kind]
    vectors, queries = unit(2000), unit(100, seed=1)
    ids = [f"{number:x}" for number in range(2000)]
    index = make(ids, vectors)
    found, scores = index.search(queries, 10)
    assert recall(found, best(ids, vectors, queries, 10)) >= bound
    own = np.einsum("qkd,qd->qk", index.vectors(found.ravel()).reshape(100, 10, 16), queries)
    np.testing.assert_allclose(scores, own, rtol=1e-4, atol=1e-6)
    assert np.all(np.diff(scores, axis=1) <= 0)


def test_what_is_excluded_or_removed_is_never_found(kind):
    make, bound = KINDS[kind]
    vectors, queries = unit(1000), unit(30, seed=1)
    index = make(range(1000), vectors)
    exclude = [row[:query] for query, row in enumerate(index.search(queries, 40)[0])]
    removed = set(index.search(queries, 3)[0].ravel().tolist())
    index.remove(removed)
    found, _ = index.search(queries, 10, exclude=exclude)
    kept = [id for id in range(1000) if id not in removed]
    assert recall(found, best(kept, vectors[kept], queries, 10, exclude)) >= bound - 0.05
    for row, out in zip(found.tolist(), exclude, strict=True):
        assert not set(row) & (set(out.tolist()) | removed)


def test_most_items_removed_and_others_added(kind):
    make, bound = KINDS[kind]
    vectors, queries = unit(1500), unit(30, seed=1)
    index = make(range(1000), vectors[:1000])
    index.remove(range(600))
    index.add(range(1000, 1500), vectors[1000:])
    assert index.ids == list(range(600, 1500))
    found, _ = index.search(queries, 10)
    assert recall(found, best(range(600, 1500), vectors[600:], queries, 10)) >= bound
    assert index.search(vectors[1499:], 1)[0].tolist() == [[1499]]
    np.testing.assert_array_equal(index.vectors([1499, 600]), vectors[[1499, 600]])
    index.add([0], vectors[:1])  # An id that was removed may come back.
    assert index.search(vectors[:1], 1)[0].tolist() == [[0]]


def test_a_query_for_which_faiss_finds_too_few_is_searched_exactly():
    vectors, queries = unit(400), unit(5, seed=1)
    index = FaissIndex(range(400), vectors, "IVF16,Flat", "nprobe=1")
    assert index.search(queries, 200)[0].tolist() == best(range(400), vectors, queries, 200)
    out = [range(0, 400, 2)] * 5
    found, _ = index.search(queries, 150, exclude=out)
    assert found.tolist() == best(range(400), vectors, queries, 150, out)


def test_removing_everything_and_beginning_anew():
    index = ItemIndex(["a"], [[1.0]])
    index.remove(["a"])
    assert len(index) == 0
    with pytest.raises(ValueError, match="k=1, with 0 of 0 items left"):
        index.search([[1.0]], 1)
    index.add([7], [[2.0]])
    assert index.search([[1.0]], 1)[0].tolist() == [[7]]


@pytest.mark.parametrize(
    "ids", [[-(2**63), 2**63 - 1, 0, 2**53 + 1], ["", "杯子", "a\x00", "tail\x00\x00"]]
)
def test_saved_and_loaded(kind, ids, tmp_path):
    if kind == "exact":
        ids, vectors = ids[:3] + ids[3:], unit(4)
    else:  # FAISS needs more to learn from.
        more = range(1, 997) if isinstance(ids[0], int) else map(str, range(996))
        ids, vectors = [*ids, *more], unit(1000)
    index = KINDS[kind][0](ids, vectors)
    index.remove(ids[1:2])
    path = tmp_path / "items.index"
    index.save(path)
    loaded = load_index(path)
    assert type(loaded) is type(index)
    assert loaded.ids == index.ids == [ids[0], *ids[2:]]
    assert loaded.dim == 16
    queries = unit(20, seed=2)
    for ours, theirs in zip(loaded.search(queries, 3), index.search(queries, 3), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    loaded.add(ids[1:2], vectors[1:2])
    assert loaded.search(vectors[1:2], 1)[0].tolist() == [[ids[1]]]
    index.save(path)  # Over what is there.
    assert [file.name for file in tmp_path.iterdir()] == ["items.index"]


def test_any_damage_is_noticed(tmp_path):
    path = tmp_path / "items.index"
    index = FaissIndex(range(50), unit(50), "HNSW4")
    index.save(path)
    whole = path.read_bytes()
    queries = unit(3, seed=1)
    right = index.search(queries, 5)[0].tolist()
    rng = np.random.default_rng(0)
    for place in rng.choice(len(whole), 300, replace=False):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:  # A bit of the archive's own data, such as a date, may mean nothing.
            assert load_index(path).search(queries, 5)[0].tolist() == right
        except ValueError as error:
            assert "Build it again from the vectors" in str(error)  # noqa: PT017
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="Expected a whole index"):
            load_index(path)


def test_an_exchanged_member_and_another_version_are_noticed(tmp_path):
    path = tmp_path / "items.index"
    ItemIndex(["a", "b"], unit(2)).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def rewritten(**changes):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in {**members, **changes}.items():
                archive.writestr(name, data)
        return path

    with pytest.raises(ValueError, match=r"ids\.json is not what was saved"):
        load_index(rewritten(**{"ids.json": b'["b", "a"]'}))
    with pytest.raises(ValueError, match="a member is not what was saved"):
        load_index(rewritten(more=b""))
    about = json.loads(members["about.json"])
    with pytest.raises(ValueError, match="version 2"):
        load_index(rewritten(**{"about.json": json.dumps({**about, "version": 2}).encode()}))
    with pytest.raises(FileNotFoundError):
        load_index(tmp_path / "none.index")


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "items.index"
    index = ItemIndex(["a", "b"], unit(2))
    index.save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="disk full"):
        index.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["items.index"]


def test_what_is_wrong_is_named_and_changes_nothing():
    index = ItemIndex(["a", "b"], np.eye(2))
    nan = [[0.0, 1.0], [np.nan, 0.0]]
    for act in (
        lambda: index.add(["c", "d"], nan),
        lambda: index.search(nan, 1),
        lambda: ItemIndex(["c", "d"], nan),
        lambda: FaissIndex(["c", "d"], nan, "Flat"),
    ):
        with pytest.raises(ValueError, match=r"finite `vectors`. Received: .* in row 1\."):
            act()
    with pytest.raises(ValueError, match=r"in row 0, and 1 more rows"):
        index.search(np.full((2, 2), np.inf), 1)
    with pytest.raises(ValueError, match=r"shape \(n, 2\). Received: shape \(1, 3\)"):
        index.search([[1.0, 2.0, 3.0]], 1)
    with pytest.raises(ValueError, match=r"shape \(n, 2\). Received: shape \(2,\)"):
        index.add(["c"], [1.0, 2.0])
    with pytest.raises(ValueError, match="3 ids and 1 vectors"):
        index.add(["c", "d", "e"], [[1.0, 2.0]])
    for ids in (["c", "c"], ["c", "a"]):
        with pytest.raises(ValueError, match=f"each id once. Received: '{ids[1]}' again"):
            index.add(ids, np.eye(2))
    for id in (3, 3.0, None, b"c", True):
        with pytest.raises(TypeError, match="all int or all str"):
            index.add(["c", id], np.eye(2))
    with pytest.raises(ValueError, match="up to 64 bits"):
        ItemIndex([2**63], [[1.0]])
    with pytest.raises(KeyError, match="no item 'c'"):
        index.remove(["a", "c"])
    with pytest.raises(KeyError, match="no item 'c'"):
        index.vectors(["c"])
    for k in (0, -1, 1.0, True, "2"):
        with pytest.raises(ValueError, match="`k` to be an int of at least 1"):
            index.search([[1.0, 0.0]], k)
    for exclude in ([], [["a"], []], ["a"]):
        with pytest.raises(ValueError, match="for each of 1 queries"):
            index.search([[1.0, 0.0]], 1, exclude=exclude)
    assert index.ids == ["a", "b"]
    assert "a" in index
    assert "c" not in index
    assert index.search(np.eye(2), 2)[0].tolist() == [["a", "b"], ["b", "a"]]
    assert index.search(np.empty((0, 2)), 2)[0].shape == (0, 2)
    assert ItemIndex([], np.empty((0, 2))).search(np.empty((0, 2)), 1)[0].shape == (0, 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_dot_products_that_no_float32_holds(sign):
    index = ItemIndex(["a", "b"], np.array([[1e20, 1e20], [1, 1]], "float32"))
    with pytest.raises(ValueError, match=r"within the range of float32.*scale them down"):
        index.search(np.array([[sign * 1e20, 0]], "float32"), 2)
    ids, _ = index.search(np.array([[sign * 1e10, 0]], "float32"), 2)
    assert ids[0].tolist() == ["a", "b"][::sign]


def test_what_faiss_does_not_understand():
    for factory in ("Flatt", "IVF100,Flat"):
        with pytest.raises(ValueError, match=f"Received: '{factory}' and 50 vectors. FAISS says"):
            FaissIndex(range(50), unit(50), factory)
    for factory, parameters in (("Flat", "nprobe=4"), ("HNSW8", "efSearch")):
        with pytest.raises(ValueError, match=f"for '{factory}'. Received: '{parameters}'. FAISS"):
            FaissIndex(range(50), unit(50), factory, parameters)


def test_other_parameters_search_otherwise():
    vectors, queries = unit(1000), unit(50, seed=1)
    index = FaissIndex(range(1000), vectors, "IVF16,Flat", "nprobe=1")
    right = best(range(1000), vectors, queries, 10)
    some = recall(index.search(queries, 10)[0], right)
    index.parameters = "nprobe=16"
    assert some < recall(index.search(queries, 10)[0], right) == 1
    with pytest.raises(ValueError, match="Received: 'n=1'"):
        index.parameters = "n=1"
    assert index.parameters == "nprobe=16"


def test_without_faiss(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(ImportError, match="pip install faiss-cpu"):
        FaissIndex(range(5), unit(5), "Flat")
    assert ItemIndex(range(5), unit(5)).search(unit(5), 1)[0].ravel().tolist() == [0, 1, 2, 3, 4]
