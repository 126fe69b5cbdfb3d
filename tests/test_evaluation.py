import dataclasses
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_array, csr_matrix

from mmrec_tf import Dataset, evaluation, metrics
from mmrec_tf._random import random_bits
from mmrec_tf.evaluation import (
    Evaluation,
    bootstrap_interval,
    evaluate,
    paired_bootstrap,
    top_k,
    two_sample_bootstrap,
    warm_and_cold,
)

inf, nan = np.inf, np.nan


def pairs(*rows):
    return pd.DataFrame(rows, columns=["user", "item"]).astype("int32")


def empty_dataset(n_users, n_items):
    interactions = pairs().assign(timestamp=np.int64(0))
    users, items = (pd.DataFrame(index=range(n)) for n in (n_users, n_items))
    return Dataset("empty", users, items, interactions)


# ---- top_k


def test_the_best_come_first():
    scores = [[0.1, 0.9, 0.5, -0.2], [3.0, -1.0, 2.0, 1.0], [0.0, 0.2, 0.1, 0.3]]
    ids, values = top_k(scores, 2)
    assert ids.tolist() == [[1, 2], [0, 2], [3, 1]]
    assert values.tolist() == [[0.9, 0.5], [3.0, 2.0], [0.3, 0.2]]
    assert ids.dtype == np.int32


@pytest.mark.parametrize("matrix", [csr_array, csr_matrix])
def test_excluded_items_and_items_at_minus_infinity_are_never_recommended(matrix):
    scores = np.array([[0.1, 0.9, 0.5, 0.2], [0.1, -inf, 0.5, 0.2], [1.0, 2.0, 3.0, 4.0]])
    scores.flags.writeable = False
    exclude = matrix([[0, 1, 0, 1], [1, 0, 1, 1], [0, 0, 0, 1]])
    exclude.data[-1] = 0  # A stored zero is not a nonzero.
    ids, values = top_k(scores, 3, exclude=exclude)
    assert ids.tolist() == [[2, 0, -1], [-1, -1, -1], [3, 2, 1]]
    assert values.tolist() == [[0.5, 0.1, -inf], [-inf, -inf, -inf], [4.0, 3.0, 2.0]]


def test_candidates_alone_are_recommended():
    scores = np.array([[9.0, 1.0, nan, 3.0, 2.0], [9.0, 5.0, inf, 4.0, 6.0]])
    exclude = csr_array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0]])
    ids, values = top_k(scores, 4, exclude=exclude, candidates=[4, 1, 3])
    assert ids.tolist() == [[4, 1, -1, -1], [4, 1, 3, -1]]
    assert values.tolist() == [[2, 1, -inf, -inf], [6, 5, 4, -inf]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_scores_keep_their_type(dtype):
    _, values = top_k(np.array([[1, 2]], dtype), 3)
    assert values.dtype == dtype
    assert values.tolist() == [[2, 1, -inf]]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64"])
def test_scores_may_be_counts(dtype):
    ids, values = top_k(np.array([[1, 3, 2]], dtype), np.int64(2))
    assert ids.tolist() == [[1, 2]]
    assert values.tolist() == [[3.0, 2.0]]
    assert values.dtype == np.float64


@st.composite
def ranking_tasks(draw):
    """Draw scores with many ties, who is asked about, what is excluded, and candidates."""
    n, n_items = draw(st.integers(0, 5)), draw(st.integers(1, 9))
    entries = st.sampled_from([0.0, -0.0, 1.0, 2.0, -inf])
    scores = draw(arrays(np.float32, (n, n_items), elements=entries))
    users = draw(st.permutations(range(10)))[:n]
    exclude = draw(st.none() | arrays(np.bool_, (n, n_items)).map(csr_array))
    items = st.permutations(range(n_items))
    candidates = draw(
        st.none() | st.tuples(items, st.integers(1, n_items)).map(lambda t: t[0][: t[1]])
    )
    return (
        scores,
        draw(st.integers(1, 10)),
        {
            "users": np.array(users, int),
            "exclude": exclude,
            "candidates": candidates,
            "seed": draw(st.integers(0, 3)),
        },
    )


@given(ranking_tasks(), st.sampled_from([1, 8, 20, 2**20]))
def test_ranks_by_score_then_by_key_in_pieces_of_any_size(task, piece):
    scores, k, options = task
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_PIECE", piece)
        ids, values = top_k(scores, k, **options)
    assert ids.shape == values.shape == (len(scores), k)
    key = (options["seed"], evaluation._TIES)
    for row, user in enumerate(options["users"]):
        items = set(
            range(scores.shape[1]) if options["candidates"] is None else options["candidates"]
        )
        if options["exclude"] is not None:
            items -= set(options["exclude"][[row]].indices)
        items = [item for item in items if scores[row, item] > -inf]
        items.sort(key=lambda item: (-scores[row, item], int(random_bits(key, user, item))))
        n_left = min(k, len(items))
        assert ids[row].tolist() == items[:k] + [-1] * (k - n_left)
        assert values[row].tolist() == [*scores[row, items[:k]], *[-inf] * (k - n_left)]


@given(ranking_tasks(), st.randoms(use_true_random=False))
def test_neither_the_batch_nor_its_order_matters(task, random):
    scores, k, options = task
    ids, values = top_k(scores, k, **options)
    order = random.sample(range(len(scores)), random.randint(0, len(scores)))
    exclude = options["exclude"]
    part = top_k(
        scores[order],
        k,
        **options
        | {
            "users": options["users"][order],
            "exclude": None if exclude is None else exclude[order],
        },
    )
    np.testing.assert_array_equal(part[0], ids[order])
    np.testing.assert_array_equal(part[1], values[order])


@given(ranking_tasks())
def test_a_shorter_list_is_the_start_of_a_longer_one(task):
    scores, k, options = task
    longest, _ = top_k(scores, 12, **options)
    np.testing.assert_array_equal(top_k(scores, k, **options)[0], longest[:, :k])


def test_users_are_numbered_by_default():
    scores = np.zeros((50, 20))
    ids, _ = top_k(scores, 5)
    np.testing.assert_array_equal(ids, top_k(scores, 5, users=np.arange(50), seed=0)[0])
    assert len(np.unique(ids, axis=0)) == 50
    assert not np.array_equal(ids, top_k(scores, 5, seed=1)[0])


@pytest.mark.parametrize("vary", ["users", "seeds"])
def test_ties_fall_evenly(vary):
    # Items 0 and 1 are best; 2 to 11 are tied for the other three places; 12 to 14 are worse.
    scores = np.repeat([2.0, 1.0, 0.0], [2, 10, 3])
    if vary == "users":
        ids, _ = top_k(np.tile(scores, (3000, 1)), 5)
    else:
        ids = np.concatenate([top_k(scores[None], 5, seed=seed)[0] for seed in range(3000)])
    assert np.isin(ids[:, :2], [0, 1]).all()
    assert np.isin(ids[:, 2:], range(2, 12)).all()
    for places, n_items in [(ids[:, :1], 2), *((ids[:, [rank]] - 2, 10) for rank in (2, 3, 4))]:
        assert scipy.stats.chisquare(np.bincount(places.ravel(), minlength=n_items)).pvalue > 0.001
    # Nor do neighbours go together.
    together = np.bincount(np.diff(np.sort(ids[:, 2:4])).ravel(), minlength=10)[1:]
    expected = np.arange(9, 0, -1) / 45 * 3000
    assert scipy.stats.chisquare(together, expected).pvalue > 0.001


def test_ties_among_thousands():
    # Long enough rows that a partition leaves the rest of them unsorted.
    scores = np.random.default_rng(0).choice([0.0, 1.0, 2.0], size=(40, 3000), p=[0.7, 0.29, 0.01])
    keys = random_bits((0, evaluation._TIES), np.arange(40)[:, None], np.arange(3000))
    best = np.lexsort((keys, -scores), axis=1)
    for k in (1, 2, 29, 30, 31, 100, 1000):
        np.testing.assert_array_equal(top_k(scores, k)[0], best[:, :k])


def test_memory_of_ranking_is_a_few_pieces():
    scores = np.zeros((256, 2**15), np.float32)  # 32 MB, and every row is one tie.
    scores[:, 0] = 1
    tracemalloc.start()
    top_k(scores, 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64e6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [1.0, 2.0]}, r"shape \(n, n_items\). Received: float64 of shape \(2,\)"),
        ({"scores": [["a"]]}, "Expected `scores` to be numbers"),
        ({"k": 0}, "`k` to be an int of at least 1. Received: 0"),
        ({"k": 1.0}, "Received: 1.0"),
        ({"users": [1]}, r"int array of shape \(2,\). Received: int64 of shape \(1,"),
        ({"users": [4.0, 5.0]}, r"`users`.* Received: float64 of shape \(2,"),
        ({"exclude": csr_array((2, 4))}, r"`exclude` of shape \(2, 3\). Received: \(2, 4\)"),
        (
            {"candidates": []},
            r"^Expected `candidates` to be a non-empty int array of shape \(n,\). Received: flo",
        ),
        ({"candidates": np.array([], int)}, "non-empty"),
        ({"candidates": [[1]]}, r"Received: int64 of shape \(1, 1\)"),
        ({"candidates": [True, False, True]}, "Received: bool"),
        ({"candidates": [0, 3]}, r"`candidates` in \[0, 3\). Received: 3"),
        ({"candidates": [-1, 1]}, r"Received: -1"),
        ({"candidates": [0, 2, 1, 2]}, "distinct `candidates`. Received item 2 twice; np.unique"),
        (
            {"scores": np.empty((1, 0)), "users": None},
            "^Expected `scores` of at least one item. Received: none",
        ),
    ],
)
def test_faulty_rankings_are_named(arguments, message):
    good = {
        "scores": np.zeros((2, 3)),
        "k": 1,
        "users": [4, 5],
        "exclude": None,
        "candidates": None,
    }
    top_k(**good)
    with pytest.raises(ValueError, match=message):
        top_k(**good | arguments)


@pytest.mark.parametrize("fault", [nan, inf])
@pytest.mark.parametrize("piece", [1, 2**20])
def test_faulty_scores_are_named(fault, piece, monkeypatch):
    monkeypatch.setattr(evaluation, "_PIECE", piece)
    scores = np.zeros((3, 4))
    scores[1, [1, 3]] = fault
    with pytest.raises(
        ValueError, match=rf"^Expected scores.* {fault} for user 8 and item 1 \(and 1 more\)"
    ):
        top_k(scores, 1, users=[7, 8, 9])
    with pytest.raises(ValueError, match=rf"{fault} for user 8 and item 3 \(and 0 more\)"):
        top_k(scores, 1, users=[7, 8, 9], candidates=[3, 0])


# ---- evaluate

SCORES = np.array(
    [
        [0.9, 0.8, 0.7, 0.6, 0.5],
        [0.1, 0.2, 0.3, 0.4, 0.5],
        [0.5, 0.9, 0.1, 0.8, 0.2],
        [0.3, 0.1, 0.4, 0.2, 0.5],
    ]
)
SHOP = empty_dataset(4, 5)
SEEN = pairs((0, 0), (0, 0), (0, 1), (1, 0), (3, 4), (3, 0))
# User 2 has no positive; user 1's is there twice.
TEST = pairs((3, 3), (0, 3), (0, 4), (1, 3), (1, 3))


def score(users):
    return SCORES[users]


def test_hand_computed():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    result = evaluate(score, SHOP, TEST, seen=SEEN, k=(1, 2), vectors=vectors)
    assert result.users.tolist() == [0, 1, 3]
    assert result.topk.tolist() == [[2, 3], [4, 3], [2, 3]]
    assert result.topk.dtype == np.int32
    third = 1 / np.log2(3)
    # Three users have seen something: item 0 all of them, items 1 and 4 one each.
    bits = {2: np.log2(4 / 1), 3: np.log2(4 / 1), 4: np.log2(4 / 2)}
    expected = {
        "recall@1": [0, 0, 0],
        "ndcg@1": [0, 0, 0],
        "mrr@1": [0, 0, 0],
        "hit_rate@1": [0, 0, 0],
        "map@1": [0, 0, 0],
        "novelty@1": [bits[2], bits[4], bits[2]],
        "diversity@1": [nan, nan, nan],
        "recall@2": [1 / 2, 1, 1],
        "ndcg@2": [third / (1 + third), third, third],
        "mrr@2": [1 / 2, 1 / 2, 1 / 2],
        "hit_rate@2": [1, 1, 1],
        "map@2": [1 / 4, 1 / 2, 1 / 2],
        "novelty@2": [2, (bits[4] + bits[3]) / 2, 2],
        "diversity@2": [1, 1, 1],
    }
    index = pd.Index([0, 1, 3], name="user")
    pd.testing.assert_frame_equal(
        result.per_user, pd.DataFrame(expected, index=index, dtype=float), check_index_type=False
    )
    assert result.coverage == {1: 2 / 5, 2: 3 / 5}
    assert result.n_candidates == 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.users = None


def test_nothing_seen():
    result = evaluate(score, SHOP, TEST, seen=None, k=2)
    assert result.topk.tolist() == [[0, 1], [4, 3], [4, 2]]
    assert list(result.per_user) == [
        f"{name}@2" for name in ("recall", "ndcg", "mrr", "hit_rate", "map")
    ]
    assert result.per_user["recall@2"].tolist() == [0, 1, 0]
    assert list(result.coverage) == [2]


def test_seen_may_come_in_parts():
    whole = evaluate(score, SHOP, TEST, seen=SEEN, k=2)
    for parts in ([SEEN[:2], SEEN[2:]], (SEEN[3:], SEEN, SEEN[:0])):
        assert_same(evaluate(score, SHOP, TEST, seen=parts, k=2), whole)
    nothing = evaluate(score, SHOP, TEST, seen=[], k=2)
    assert nothing.topk.tolist() == evaluate(score, SHOP, TEST, seen=None, k=2).topk.tolist()


def test_candidates():
    test = pairs((0, 3), (1, 3), (3, 2))
    result = evaluate(score, SHOP, test, seen=SEEN, k=(1, 3), candidates=[3, 4, 2, 0])
    assert result.topk.tolist() == [[2, 3, 4], [4, 3, 2], [2, 3, -1]]
    assert result.coverage == {1: 2 / 4, 3: 3 / 4}
    assert result.n_candidates == 4
    assert result.per_user["mrr@3"].tolist() == [1 / 2, 1 / 2, 1]


def assert_same(a, b):
    np.testing.assert_array_equal(a.users, b.users)
    np.testing.assert_array_equal(a.topk, b.topk)
    pd.testing.assert_frame_equal(a.per_user, b.per_user, check_exact=True)
    assert a.coverage == b.coverage


@st.composite
def evaluation_tasks(draw):
    """Draw scores with ties, and disjoint test and seen pairs, some of them repeated."""
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(2, 8))
    scores = draw(arrays(np.int8, (n_users, n_items), elements=st.integers(0, 3)))
    kind = draw(arrays(np.int8, (n_users, n_items), elements=st.integers(0, 2)))
    kind[0, 0] = 1
    test, seen = (pairs(*np.argwhere(kind == i).tolist() * 2) for i in (1, 2))
    vectors = np.random.default_rng(0).normal(size=(n_items, 3))
    k = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
    return scores, empty_dataset(n_users, n_items), test, seen, {"k": k, "vectors": vectors}


@given(evaluation_tasks(), st.integers(1, 4), st.sampled_from([1, 16, 2**25]))
def test_the_batch_size_changes_nothing(task, batch_size, bound):
    scores, dataset, test, seen, options = task
    whole = evaluate(lambda users: scores[users], dataset, test, seen=seen, **options)
    asked = []

    def spy(users):
        asked.append(users)
        return scores[users]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "_BATCH", bound)
        parts = evaluate(spy, dataset, test, seen=seen, batch_size=batch_size, **options)
    assert_same(parts, whole)
    np.testing.assert_array_equal(np.concatenate(asked), whole.users)
    sizes = [len(users) for users in asked]
    expected = min(batch_size, max(1, bound // dataset.n_items), len(whole.users))
    assert sizes[:-1] == [expected] * (len(sizes) - 1)
    assert sizes[-1] <= expected


@given(evaluation_tasks(), st.integers(0, 3))
def test_equals_ranking_and_measuring_by_hand(task, seed):
    scores, dataset, test, seen, options = task
    result = evaluate(lambda users: scores[users], dataset, test, seen=seen, seed=seed, **options)
    assert result.users.tolist() == sorted(set(test["user"]))
    seen_items = [set(seen["item"][seen["user"] == user]) for user in result.users]
    for row, items in zip(result.topk.tolist(), seen_items, strict=True):
        assert not items & set(row)
        assert len(set(row) - {-1}) == min(max(options["k"]), dataset.n_items - len(items))
    dense = np.zeros((dataset.n_users, dataset.n_items), bool)
    dense[seen["user"], seen["item"]] = True
    expected, _ = top_k(
        scores[result.users],
        max(options["k"]),
        users=result.users,
        seed=seed,
        exclude=csr_array(dense[result.users]),
    )
    np.testing.assert_array_equal(result.topk, expected)
    relevant = [set(test["item"][test["user"] == user]) for user in result.users]
    for k in options["k"]:
        for name in ("recall", "ndcg", "mrr", "hit_rate", "map"):
            values = getattr(metrics, f"{name}_at_k")(expected, relevant, k)
            np.testing.assert_array_equal(result.per_user[f"{name}@{k}"], values)
        novelty = metrics.novelty_at_k(
            expected, dense.sum(axis=0), k, n_users=dense.any(axis=1).sum()
        )
        np.testing.assert_array_equal(result.per_user[f"novelty@{k}"], novelty)
        diversity = metrics.diversity_at_k(expected, options["vectors"], k)
        np.testing.assert_array_equal(result.per_user[f"diversity@{k}"], diversity)
        coverage = metrics.coverage_at_k(expected, k, n_items=dataset.n_items)
        assert result.coverage[k] == coverage
    assert list(result.coverage) == options["k"]


@pytest.mark.parametrize("n_items", [2, 2**15, 2**15 + 1])
def test_a_batch_has_at_most_1024_users_and_33_million_scores(n_items):
    asked = []

    def refuse(users):
        asked.append(len(users))
        raise InterruptedError

    test = pairs(*((user, 0) for user in range(1030)))
    with pytest.raises(InterruptedError):
        evaluate(refuse, _Sizes(1030, n_items), test, seen=None)
    assert asked == [1023 if n_items > 2**15 else 1024]


@dataclasses.dataclass
class _Sizes:
    n_users: int
    n_items: int


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"seen": pairs((0, 0), (0, 4), (0, 3), (1, 3), (1, 3))},
            "^Expected no pair of user and item to stand in both `test` and `seen`. "
            "Received: 3 such pairs, the first of user 0 and item 3.",
        ),
        (
            {"seen": [pairs((3, 3))]},
            "Received: 1 such pairs, the first of user 3 and item 3.*again, pass `seen=None`.$",
        ),
        (
            {"candidates": [0, 1, 4]},
            "^Expected every item of `test` among the `candidates`. Received: 3 pairs with other "
            "items, the first of user 0 and item 3",
        ),
        (
            {"candidates": [3], "seen": None},
            "Received: 1 pairs with other items, the first of user 0 and item 4",
        ),
        ({"candidates": [3, 4, 3]}, "Received item 3 twice"),
        ({"test": TEST[:0]}, "^Expected `test` with at least one interaction. Received: none"),
        (
            {"test": TEST.rename(columns={"item": "movie"})},
            r"`test`.*Received: \['user', 'movie'\]",
        ),
        ({"seen": SEEN[["item"]]}, r"`seen` with the columns user and item. Received: \['item'\]"),
        ({"seen": [SEEN, SEEN[["user"]]]}, r"`seen`.*Received: \['user'\]"),
        ({"test": TEST.astype(float)}, "`test.user` to be integers. Received: float64"),
        ({"test": pairs((0, 3), (4, 1))}, r"`test.user` in \[0, 4\), row.*Received: 4"),
        ({"test": pairs((0, 3), (-1, 1))}, r"`test.user` in \[0, 4\), row.*Received: -1"),
        ({"seen": pairs((4, 4), (1, 5))}, r"`seen.user` in \[0, 4\)"),
        ({"seen": pairs((0, 1), (1, 5))}, r"`seen.item` in \[0, 5\), row.*Received: 5"),
        ({"score": lambda users: SCORES}, r"shape \(3, 5\), a row a user.*Received: \(4, 5\)"),
        ({"score": lambda users: SCORES[users, :4]}, r"Received: \(3, 4\)"),
        (
            {"score": lambda users: SCORES[users] / (users[:, None] != 3)},
            "inf for user 3 and item 0",
        ),
        ({"k": 0}, "`k`.*Received: 0"),
        ({"k": (0, 2)}, "`k`.*Received: 0"),
        ({"k": ()}, "^Expected `k`.*at least one of them. Received: none"),
        ({"batch_size": 0}, "`batch_size` of at least 1. Received: 0"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_faulty_evaluations_are_named(arguments, message):
    good = {"score": score, "dataset": SHOP, "test": TEST, "seen": SEEN, "k": 2}
    with pytest.raises(ValueError, match=message):
        evaluate(**good | arguments)


def test_seen_has_no_default():
    with pytest.raises(TypeError, match="seen"):
        evaluate(score, SHOP, TEST)


def test_the_seed_decides_which_of_the_equal_are_recommended():
    dataset, test = empty_dataset(30, 40), pairs(*((user, 0) for user in range(30)))
    topk = [
        evaluate(lambda users: np.zeros((len(users), 40)), dataset, test, seen=None, **seed).topk
        for seed in ({}, {"seed": 0}, {"seed": 1})
    ]
    np.testing.assert_array_equal(topk[0], topk[1])
    assert not np.array_equal(topk[0], topk[2])


def test_lists_have_10_and_20_items_by_default():
    result = evaluate(score, SHOP, TEST, seen=SEEN)
    assert result.topk.shape == (3, 20)
    assert list(result.coverage) == [10, 20]


# ---- Evaluation

FOUR = Evaluation(
    np.array([0, 1, 2, 5]),
    np.zeros((4, 2), int),
    pd.DataFrame(
        {
            "recall@1": [0.0, 1.0, 0.5, 0.5],
            "hit_rate@1": [0.0, 1.0, 1.0, 1.0],
            "diversity@1": [nan, nan, nan, nan],
            "recall@20": [0.5, 1.0, 0.5, 1.0],
            "hit_rate@20": [1.0, 1.0, 1.0, 1.0],
            "diversity@20": [nan, 0.25, 0.5, nan],
        }
    ),
    {1: 0.123456, 20: 0.5},
    1682,
)


def test_print():
    assert str(FOUR) == "\n".join(
        [
            "Evaluation: 4 users, 1,682 candidates",
            "                  @1      @20",
            "  recall      0.5000   0.7500",
            "  hit_rate    0.7500   1.0000",
            "  diversity      nan   0.3750",
            "  coverage    0.1235   0.5000",
        ]
    )


def test_summary():
    options = {"confidence": 0.5, "n_resamples": 200, "seed": 3}
    summary = FOUR.summary(**options)
    assert list(summary.columns) == ["mean", "low", "high"]
    assert list(summary.index) == list(FOUR.per_user)
    for name in ("recall@1", "hit_rate@1", "recall@20", "hit_rate@20"):
        assert tuple(summary.loc[name]) == bootstrap_interval(FOUR.per_user[name], **options)
    # Over the users who have a value.
    assert tuple(summary.loc["diversity@20"]) == bootstrap_interval([0.25, 0.5], **options)
    assert summary.loc["diversity@1"].isna().all()
    values = pd.Series(np.random.default_rng(0).random(50))
    many = dataclasses.replace(FOUR, per_user=pd.DataFrame({"ndcg@1": values}))
    assert tuple(many.summary().loc["ndcg@1"]) == bootstrap_interval(
        values, confidence=0.95, n_resamples=1000, seed=0
    )


def test_one_user_has_a_mean_but_no_interval():
    one = dataclasses.replace(FOUR, per_user=pd.DataFrame({"recall@1": [0.5]}))
    assert one.summary().loc["recall@1", "mean"] == 0.5
    assert one.summary().loc["recall@1", ["low", "high"]].isna().all()


# ---- bootstrap


def test_agrees_with_the_normal_interval():
    values = np.random.default_rng(0).normal(0.3, 0.2, size=4000)
    interval = bootstrap_interval(values, n_resamples=2000)
    error = values.std() / np.sqrt(len(values))
    assert interval.mean == values.mean()
    np.testing.assert_allclose(
        interval[1:], [values.mean() - 1.96 * error, values.mean() + 1.96 * error], atol=error / 8
    )
    narrow = bootstrap_interval(values, n_resamples=2000, confidence=0.6827)
    np.testing.assert_allclose(
        narrow[1:], [values.mean() - error, values.mean() + error], atol=error / 8
    )


def test_agrees_with_scipy():
    values = np.random.default_rng(1).random(30)
    interval = bootstrap_interval(pd.Series(values), confidence=0.9, n_resamples=500, seed=7)
    peer = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=500, confidence_level=0.9, method="percentile", rng=7
    )
    assert interval[1:] == tuple(peer.confidence_interval)


def test_values_are_averaged_in_double_precision():
    values = np.random.default_rng(6).random(1000).astype("float32")
    assert bootstrap_interval(values, n_resamples=2) == bootstrap_interval(
        values.astype("float64"), n_resamples=2
    )


def test_the_interval_holds_the_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = [
        (interval := bootstrap_interval(rng.random(60), confidence=0.8, n_resamples=200)).low
        <= 0.5
        <= interval.high
        for _ in range(400)
    ]
    # Binomial with 400 draws: four standard deviations are 0.08.
    assert abs(np.mean(held) - 0.8) < 0.08


def test_the_seed_decides():
    values = np.random.default_rng(3).random(30)
    assert bootstrap_interval(values) == bootstrap_interval(
        values, confidence=0.95, n_resamples=1000, seed=0
    )
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


def test_memory_of_the_bootstrap_is_bounded():
    values = np.zeros(2**19)
    tracemalloc.start()
    bootstrap_interval(values, n_resamples=40)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6  # All at once would take 330 MB.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": [0.5]}, r"at least two users. Received: shape \(1,\)"),
        ({"values": [[0.5, 0.2]]}, r"Received: shape \(1, 2\)"),
        ({"values": [0.5, nan, nan]}, r"Received: nan at position 1 \(and 1 more\)"),
        ({"values": [inf, 0.0]}, r"Received: inf at position 0 \(and 0 more\)"),
        ({"confidence": 0}, r"`confidence` in \(0, 1\). Received: 0"),
        ({"confidence": 1}, "Received: 1"),
        ({"confidence": 95}, "Received: 95"),
        ({"n_resamples": 1}, "`n_resamples` of at least 2. Received: 1"),
    ],
)
def test_faulty_values_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(**{"values": [0.0, 1.0]} | arguments)


def test_values_without_users_cannot_be_paired():
    values = np.array([0.1, 0.2])
    with pytest.raises(TypeError, match=r"`b` to be a Series indexed by user.*Received: ndarray"):
        paired_bootstrap(pd.Series(values), values)


def test_two_groups_are_resampled_each_by_itself():
    rng = np.random.default_rng(0)
    a, b = rng.normal(3, 2, 400), rng.normal(1, 1, 900)
    found = two_sample_bootstrap(a, b)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    error = np.sqrt(a.var() / 400 + b.var() / 900)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)
    assert found.low < found.mean < found.high
    # Values that rise together do not narrow it, as they would if they were pairs.
    alike = two_sample_bootstrap(np.sort(a), np.sort(a))
    assert (alike.high - alike.low) / 2 == pytest.approx(1.96 * np.sqrt(2 * a.var() / 400), rel=0.1)
    turned = two_sample_bootstrap(b, a)
    assert turned.mean == -found.mean
    assert two_sample_bootstrap(a, b, seed=1) != found


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0, 2.0]), ([1.0, 2.0], [3.0])])
def test_a_group_of_one_has_no_interval(a, b):
    with pytest.raises(ValueError, match="at least two users"):
        two_sample_bootstrap(a, b)


def test_paired_interval_is_that_of_the_differences():
    rng = np.random.default_rng(4)
    a, b = pd.Series(rng.random(40)), pd.Series(rng.random(40))
    options = {"confidence": 0.9, "n_resamples": 300, "seed": 5}
    difference = paired_bootstrap(a, b, **options)
    assert difference[:3] == bootstrap_interval(a - b, **options)
    assert difference.mean == (a - b).mean()
    # The users count, not their order.
    assert paired_bootstrap(a, b[::-1], **options) == difference
    order = rng.permutation(40)
    shuffled = paired_bootstrap(a[order], b, **options)
    assert shuffled[:3] == bootstrap_interval((a - b)[order], **options)
    assert paired_bootstrap(a, b) == paired_bootstrap(
        a, b, confidence=0.95, n_resamples=1000, seed=0
    )
    back = paired_bootstrap(b, a, **options)
    np.testing.assert_allclose(back[:3], [-difference.mean, -difference.high, -difference.low])
    assert back.share_better == pytest.approx(1 - difference.share_better)


def test_pairing_narrows_what_users_have_in_common():
    rng = np.random.default_rng(5)
    user = rng.random(500)
    a, b = (pd.Series(user + shift + rng.normal(0, 0.05, 500)) for shift in (0.01, 0))
    paired = paired_bootstrap(a, b)
    apart = sum(bootstrap_interval(x).high - bootstrap_interval(x).low for x in (a, b))
    assert paired.high - paired.low < 0.2 * apart
    assert paired.low > 0


def test_share_better():
    a, b = pd.Series([1.0, 2.0]), pd.Series([0.0, 1.5])
    assert paired_bootstrap(a, b).share_better == 1
    assert paired_bootstrap(b, a).share_better == 0
    assert paired_bootstrap(a, a).share_better == 0  # Not better, equal.
    # One user in favour, one against, as strongly: 1/4 better, 1/2 equal, 1/4 worse.
    share = paired_bootstrap(a, pd.Series([2.0, 1.0]), n_resamples=4000).share_better
    assert share == pytest.approx(0.25, abs=0.03)
    assert type(share) is float


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1, 2, 3], [1, 2, 4, 5], "1 in `a` alone, such as 3 and 2 in `b` alone, such as 4"),
        ([1, 2, 3], [3, 1], r"same users. Received: 1 in `a` alone, such as 2\. Evaluate"),
        ([9, 3, 1], [1], "2 in `a` alone, such as 9"),
        ([1], [1, 9, 3], "2 in `b` alone, such as 9"),
        ([1], [1, "x"], "Received: 1 in `b` alone, such as 'x'"),
        ([1, 2, 2], [1, 2], "`a` with one value a user. Received several for user 2"),
        ([1, 2], [1, 1], "`b` with one value a user. Received several for user 1"),
    ],
)
def test_other_users_are_named(a, b, message):
    with pytest.raises(ValueError, match=message):
        paired_bootstrap(*(pd.Series(np.arange(len(users)) / 10, index=users) for users in (a, b)))


def test_pairs_without_a_value_are_named():
    with pytest.raises(ValueError, match="nan at position 1"):
        paired_bootstrap(pd.Series([0.5, nan]), pd.Series([0.5, 0.5]))


# ---- warm_and_cold


def test_each_test_row_is_warm_or_cold_in_one_way():
    train = pairs((0, 0), (1, 1))
    test = pairs((0, 1), (2, 2), (1, 3), (0, 1), (3, 0), (2, 3), (1, 0)).set_axis(list("abcdefg"))
    parts = warm_and_cold(test, train)
    assert {name: list(part.index) for name, part in parts.items()} == {
        "warm": ["a", "d", "g"],
        "cold items": ["c"],
        "cold users": ["e"],
        "cold items and users": ["b", "f"],
    }
    pd.testing.assert_frame_equal(pd.concat(parts.values()).sort_index(), test)


def test_parts_go_into_evaluate():
    # Item 4 is cold, user 3 too.
    train = pairs((0, 0), (1, 1), (2, 2), (2, 3))
    parts = warm_and_cold(pairs((0, 1), (0, 4), (3, 0), (1, 4)), train)
    cold = evaluate(score, SHOP, parts["cold items"], seen=train, k=1, candidates=[4])
    assert cold.users.tolist() == [0, 1]
    assert cold.per_user["recall@1"].tolist() == [1, 1]
    assert evaluate(score, SHOP, parts["cold users"], seen=train, k=1).users.tolist() == [3]
