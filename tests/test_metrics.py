import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csc_array, csr_array, csr_matrix
from sklearn.metrics import ndcg_score

from mmrec_tf import cosine_similarity
from mmrec_tf.metrics import (
    coverage_at_k,
    diversity_at_k,
    gini_coefficient,
    hit_rate_at_k,
    map_at_k,
    mrr_at_k,
    ndcg_at_k,
    novelty_at_k,
    recall_at_k,
)

ACCURACY = [recall_at_k, ndcg_at_k, mrr_at_k, hit_rate_at_k, map_at_k]
nan = math.nan


def by_definition(metric, items, positives, k):
    """Compute a metric of one list step by step, as a textbook writes it."""
    if not positives:
        return nan
    ranks = [rank for rank, item in enumerate(items[:k], start=1) if item in positives]
    best = min(k, len(positives))
    if metric is recall_at_k:
        return len(ranks) / len(positives)
    if metric is ndcg_at_k:
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, best + 1))
        return sum(1 / math.log2(rank + 1) for rank in ranks) / ideal
    if metric is mrr_at_k:
        return 1 / ranks[0] if ranks else 0
    if metric is hit_rate_at_k:
        return 1 if ranks else 0
    assert metric is map_at_k
    return sum(hits / rank for hits, rank in enumerate(ranks, start=1)) / best


@st.composite
def lists_and_positives(draw):
    """Draw lists of distinct items, some cut short, positives, and k."""
    n_items, n_users = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    length = draw(st.integers(1, n_items))
    topk = np.full((n_users, length), -1)
    for row in topk:
        items = draw(st.permutations(range(n_items)))[: draw(st.integers(0, length))]
        row[: len(items)] = items
    subsets = st.sets(st.integers(0, n_items - 1))
    positives = draw(st.lists(subsets, min_size=n_users, max_size=n_users))
    return topk, positives, draw(st.integers(1, length)), n_items


def matrix(positives, n_items):
    dense = np.zeros((len(positives), n_items))
    for row, items in zip(dense, positives, strict=True):
        row[list(items)] = 1
    return csr_array(dense)


LISTS = np.array([[5, 1, 2, 0], [0, 1, 2, 3], [4, 3, -1, -1], [0, 1, 2, 3]])
POSITIVES = [{1, 0, 9}, {5}, {4}, set()]


@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (recall_at_k, 1, [0, 0, 1, nan]),
        (recall_at_k, 2, [1 / 3, 0, 1, nan]),
        (recall_at_k, 4, [2 / 3, 0, 1, nan]),
        (ndcg_at_k, 2, [(1 / np.log2(3)) / (1 + 1 / np.log2(3)), 0, 1, nan]),
        (ndcg_at_k, 4, [(1 / np.log2(3) + 1 / np.log2(5)) / (1.5 + 1 / np.log2(3)), 0, 1, nan]),
        (mrr_at_k, 1, [0, 0, 1, nan]),
        (mrr_at_k, 4, [1 / 2, 0, 1, nan]),
        (hit_rate_at_k, 1, [0, 0, 1, nan]),
        (hit_rate_at_k, 4, [1, 0, 1, nan]),
        (map_at_k, 2, [(1 / 2) / 2, 0, 1, nan]),
        (map_at_k, 4, [(1 / 2 + 2 / 4) / 3, 0, 1, nan]),
    ],
)
def test_hand_computed(metric, k, expected):
    values = metric(LISTS, POSITIVES, k)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-15)
    np.testing.assert_array_equal(metric(topk=LISTS, relevant=POSITIVES, k=k), values)
    # Any int type will do.
    np.testing.assert_array_equal(metric(LISTS.astype("int8"), POSITIVES, np.uint8(k)), values)
    np.testing.assert_array_equal(metric(LISTS[:2].astype("uint64"), POSITIVES[:2], k), values[:2])


@pytest.mark.parametrize("metric", ACCURACY)
@given(lists_and_positives())
def test_equals_the_definition_for_every_form_of_positives(metric, drawn):
    topk, positives, k, n_items = drawn
    expected = [
        by_definition(metric, [i for i in row if i >= 0], items, k)
        for row, items in zip(topk.tolist(), positives, strict=True)
    ]
    values = metric(topk, matrix(positives, n_items), k)
    np.testing.assert_allclose(values, expected, rtol=1e-14)
    forms = [
        positives,
        [list(items) * 2 for items in positives],
        [np.array(sorted(items), np.uint16) for items in positives],
        csr_matrix(matrix(positives, n_items)),
        csc_array(matrix(positives, n_items)),
    ]
    for form in forms:
        np.testing.assert_array_equal(metric(topk, form, k), values)


@pytest.mark.parametrize("metric", ACCURACY)
def test_positives_are_the_nonzeros_whatever_they_are(metric):
    # User 0: item 2, item 1 stored twice, and a stored zero at item 3; user 1: a NaN at item 0.
    rows, columns, data = [0, 0, 0, 0, 1], [2, 1, 1, 3, 0], [-2.5, 1, 1, 0, nan]
    stored = coo_matrix((data, (rows, columns)), shape=(2, 4))
    unsorted = csr_matrix((data, columns, [0, 4, 5]), shape=(2, 4))
    flags = csr_matrix((np.array(data, bool), columns, [0, 4, 5]), shape=(2, 4))
    topk = np.array([[3, 2, 0], [1, 0, 2]])
    expected = metric(topk, [{1, 2}, {0}], 3)
    for form in (stored, unsorted, flags):
        np.testing.assert_array_equal(metric(topk, form, 3), expected)
        # The caller's matrix is left alone.
        assert form.nnz == 5
        np.testing.assert_array_equal(getattr(form, "indices", columns), columns)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_ndcg_agrees_with_scikit_learn(k):
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.arange(12.0), (50, 1)), axis=1)
    labels = (rng.random(scores.shape) < 0.3) | (scores == 5)
    topk = np.argsort(-scores, axis=1)
    value = ndcg_at_k(topk, csr_array(labels), k).mean()
    np.testing.assert_allclose(value, ndcg_score(labels, scores, k=k), rtol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_agrees_with_keras_rs(k):
    from keras_rs import metrics as peers

    rng = np.random.default_rng(1)
    scores = rng.permuted(np.tile(np.arange(12.0), (50, 1)), axis=1)
    labels = (rng.random(scores.shape) < 0.3) | (scores == 5)
    topk, relevant = np.argsort(-scores, axis=1), csr_array(labels)
    n_relevant = labels.sum(axis=1)
    ours = {
        peers.RecallAtK: recall_at_k(topk, relevant, k),
        peers.NDCG: ndcg_at_k(topk, relevant, k),
        peers.MeanReciprocalRank: mrr_at_k(topk, relevant, k),
        # keras-rs divides by the number of positives, even where the list is shorter.
        peers.MeanAveragePrecision: map_at_k(topk, relevant, k)
        * np.minimum(n_relevant, k)
        / n_relevant,
        peers.PrecisionAtK: recall_at_k(topk, relevant, k) * n_relevant / k,
    }
    for peer, values in ours.items():
        theirs = float(peer(k=k)(labels.astype("float32"), scores.astype("float32")))
        np.testing.assert_allclose(values.mean(), theirs, rtol=1e-6, err_msg=peer.__name__)


@pytest.mark.parametrize("metric", ACCURACY)
@given(lists_and_positives(), st.randoms(use_true_random=False))
def test_users_are_independent(metric, drawn, random):
    topk, positives, k, _ = drawn
    order = random.sample(range(len(topk)), len(topk))
    np.testing.assert_array_equal(
        metric(topk[order], [positives[user] for user in order], k),
        metric(topk, positives, k)[order],
    )


@pytest.mark.parametrize("metric", [recall_at_k, mrr_at_k, hit_rate_at_k])
@given(lists_and_positives())
def test_a_longer_list_is_never_worse(metric, drawn):
    topk, positives, _, _ = drawn
    values = [metric(topk, positives, k) for k in range(1, topk.shape[1] + 1)]
    gain = np.diff(values, axis=0)
    assert np.all((gain >= 0) | np.isnan(gain))


@pytest.mark.parametrize("metric", ACCURACY)
@given(lists_and_positives())
def test_one_more_hit_never_lowers(metric, drawn):
    topk, positives, k, _ = drawn
    before = metric(topk, positives, k)
    for rank in range(topk.shape[1]):
        better = topk.copy()
        for row, items in zip(better, positives, strict=True):
            missed = items - set(row.tolist())
            if missed and row[rank] >= 0 and row[rank] not in items:
                row[rank] = min(missed)
        after = metric(better, positives, k)
        assert np.all((after >= before) | np.isnan(before))


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_perfect_list_has_exactly_one(n_relevant, k):
    topk, positives = np.arange(20)[None], [range(n_relevant)]
    for metric in (ndcg_at_k, mrr_at_k, hit_rate_at_k, map_at_k):
        assert metric(topk, positives, k) == 1
    assert recall_at_k(topk, positives, k) == min(k, n_relevant) / n_relevant


@pytest.mark.parametrize("metric", ACCURACY)
def test_no_users(metric):
    topk = np.empty((0, 3), int)
    assert metric(topk, [], 2).shape == metric(topk, csr_array((0, 5)), 2).shape == (0,)


def test_coverage():
    topk = np.array([[3, 1, 0], [1, 3, 2], [4, -1, -1]])
    assert [coverage_at_k(topk, k, n_items=10) for k in (1, 2, 3)] == [0.3, 0.3, 0.5]
    assert coverage_at_k(topk, 3, n_items=5) == 1
    assert coverage_at_k(topk[:0], 3, n_items=5) == 0
    assert coverage_at_k(np.full((2, 2), -1), 2, n_items=5) == 0


def test_novelty():
    # 7 users: an item that c of them had informs by log2(8 / (c + 1)) bits.
    counts = [7, 3, 1, 0]
    topk = [[0, 1, 2], [3, 2, -1], [-1, -1, -1]]
    np.testing.assert_allclose(novelty_at_k(topk, counts, 3, n_users=7), [1, 2.5, nan])
    np.testing.assert_allclose(novelty_at_k(topk, counts, 1, n_users=7), [0, 3, nan])
    # The last item is not what -1 stands for.
    np.testing.assert_allclose(novelty_at_k([[0, -1]], [1, 0], 2, n_users=1), [0])


@given(lists_and_positives(), st.integers(0, 99))
def test_diversity_equals_the_definition(drawn, seed):
    topk, _, k, n_items = drawn
    vectors = np.random.default_rng(seed).normal(size=(n_items, 3)).astype("float32")
    values = diversity_at_k(topk, vectors, k)
    assert values.dtype == np.float64
    for items, value in zip(topk[:, :k], values, strict=True):
        items = items[items >= 0]
        if len(items) < 2:
            assert np.isnan(value)
            continue
        cosines = cosine_similarity(*[vectors[items].astype("float64")] * 2)
        pairs = cosines[~np.eye(len(items), dtype=bool)]
        np.testing.assert_allclose(value, 1 - pairs.mean(), atol=1e-12)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12).filter(any))
def test_gini_is_half_the_mean_difference_over_the_mean(counts):
    values = np.array(counts, float)
    differences = np.abs(values[:, None] - values).mean()
    assert gini_coefficient(counts) == pytest.approx(differences / 2 / values.mean(), abs=1e-12)
    assert gini_coefficient(3 * values) == pytest.approx(gini_coefficient(values))


@pytest.mark.parametrize("counts", [[], [0, 0], [1, -1, 3], [1, np.nan], [[1, 2]]])
def test_counts_that_share_nothing_out_are_named(counts):
    with pytest.raises(ValueError, match="finite, none negative, not all 0"):
        gini_coefficient(counts)


def test_diversity_bounds():
    # The length of [0.1, 1] is rounded such that its cosine with itself is above 1.
    vectors = np.array([[0.1, 1.0], [0.1, 1.0], [-0.2, -2.0], [1.0, -0.1]])
    values = diversity_at_k([[0, 1], [0, 2], [0, 3]], vectors, 2)
    np.testing.assert_allclose(values, [0, 2, 1], atol=1e-15)
    assert values[0] == 0


def test_diversity_asks_for_the_vectors_of_listed_items_alone():
    vectors = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [np.nan, 1.0]])
    assert diversity_at_k([[1, 2, 0]], vectors, 2) == 1
    assert np.isnan(diversity_at_k([[-1, -1]], vectors, 2)[0])
    for item, row in [(0, [1, 0]), (3, [1, 3])]:
        with pytest.raises(
            ValueError, match=f"^Expected the vector.*item {item} is all zeros or not"
        ):
            diversity_at_k([[1, 2], row], vectors, 2)
    with pytest.raises(ValueError, match="item 0 is all zeros or not finite"):
        diversity_at_k([[0, 1]], [[np.inf, 0.0], [0.0, 1.0]], 2)


@pytest.mark.parametrize(
    "metric",
    [
        *(partial(metric, relevant=[{1}, {2}]) for metric in ACCURACY),
        partial(coverage_at_k, n_items=9),
        partial(novelty_at_k, counts=[1] * 9, n_users=1),
        partial(diversity_at_k, vectors=np.ones((9, 1))),
    ],
)
@pytest.mark.parametrize(
    ("topk", "k", "message"),
    [
        ([1, 2], 1, r"int array of shape \(n_users, K\). Received: int64 of shape \(2,\)"),
        ([[1.0], [2.0]], 1, "Received: float64 of shape"),
        ([[True], [False]], 1, "Received: bool of shape"),
        ([[1, 2], [3, 4]], 3, "`k` from 1 to 2, the length of the lists. Received: 3"),
        ([[1, 2], [3, 4]], 0, "`k` from 1 to 2.*Received: 0"),
        ([[1, 2], [3, 4]], 1.0, "`k` from 1 to 2.*Received: 1.0"),
        (
            [[1, 2], [3, -2]],
            1,
            r"^Expected items(| in \[0, 9\)), or -1 for none. Received: -2 in row 1",
        ),
        (
            [[1, 2, 3], [4, -1, 5]],
            1,
            r"^Expected -1 in `topk` only after a.*Received: \[4, -1, 5\] in row 1",
        ),
        ([[-1, 0], [0, -1]], 1, r"only after.*Received: \[-1, 0\] in row 0"),
        ([[1, 2, 3], [4, 5, 4]], 1, "^Expected each list.*once. Received: item 4 twice in row 1"),
        ([[1, 2, 3], [4, 5, 5]], 1, "Received: item 5 twice in row 1"),
        ([[2, 0, 0], [1, 2, 3]], 1, "Received: item 0 twice in row 0"),
    ],
)
def test_faulty_lists_are_named(metric, topk, k, message):
    with pytest.raises(ValueError, match=message):
        metric(topk=topk, k=k)


@pytest.mark.parametrize(
    "metric",
    [
        *(partial(metric, relevant=csr_array((2, 4))) for metric in ACCURACY),
        partial(coverage_at_k, n_items=4),
        partial(novelty_at_k, counts=[1] * 4, n_users=1),
        partial(diversity_at_k, vectors=np.ones((4, 1))),
    ],
)
def test_unknown_items_are_named(metric):
    metric(topk=[[0, 1], [2, 3]], k=1)
    with pytest.raises(ValueError, match=r"items in \[0, 4\), or -1.* Received: 4 in row 1"):
        metric(topk=[[0, 1], [2, 4]], k=1)


@pytest.mark.parametrize("metric", ACCURACY)
@pytest.mark.parametrize(
    ("relevant", "message"),
    [
        ([{1}], "^Expected `topk` and `relevant` of as many users. Received: 2 and 1"),
        (csr_array((3, 9)), "of as many users. Received: 2 and 3"),
        ([{1}, {-1}], r"^Expected `relevant`.*a user. Received: \[-1\] for row 1"),
        ([{0.5}, {1}], r"Received: \[0.5\] for row 0"),
        ([1, 2], "Received: 1 for row 0"),
        (np.ones((2, 3, 3), int), "for row 0"),
        ([{"a"}, {1}], r"Received: \['a'\] for row 0"),
    ],
)
def test_faulty_positives_are_named(metric, relevant, message):
    with pytest.raises(ValueError, match=message):
        metric([[1, 2], [3, 4]], relevant, 1)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([1, 5, 6], "of users, from 0 to 5. Received: 6 for item 2"),
        ([1, -1, 5], "Received: -1 for item 1"),
        ([nan, 1, 1], "Received: nan for item 0"),
        ([[1, 2, 3]], r"shape \(n_items,\). Received: \(1, 3\)"),
    ],
)
def test_faulty_counts_are_named(counts, message):
    with pytest.raises(ValueError, match=message):
        novelty_at_k([[0, 1]], counts, 1, n_users=5)


def test_faulty_vectors_are_named():
    with pytest.raises(ValueError, match=r"shape \(n_items, dim\). Received: \(3,\)"):
        diversity_at_k([[0, 1]], [1.0, 2.0, 3.0], 1)
