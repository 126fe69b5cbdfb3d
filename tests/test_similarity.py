import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras.layers import Dot

from mmrec_tf import cosine_similarity

USERS = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
ITEMS = np.array([[0.7, 0.8, 0.9], [0.1, 0.2, 0.3]])

entries = st.floats(-1e3, 1e3).filter(lambda x: abs(x) > 1e-3)
vectors = arrays(np.float64, st.tuples(st.integers(1, 5), st.just(4)), elements=entries)


def test_hand_computed():
    # u1 = c2, so their angle is 0; the others by the definition, in exact square roots.
    expected = [
        [0.50 / np.sqrt(0.14 * 1.94), 1.0],
        [1.22 / np.sqrt(0.77 * 1.94), 0.32 / np.sqrt(0.77 * 0.14)],
    ]
    np.testing.assert_allclose(cosine_similarity(USERS, ITEMS), expected, rtol=1e-15)


def test_agrees_with_keras():
    rng = np.random.default_rng(0)
    q, c = rng.normal(size=(2, 6, 8)).astype("float32")
    pairwise = Dot(axes=1, normalize=True)([q, c])[:, 0]
    np.testing.assert_allclose(np.diag(cosine_similarity(q, c)), pairwise, rtol=1e-5)


@given(vectors, vectors)
def test_symmetric_bounded_and_one_with_itself(q, c):
    similarity = cosine_similarity(q, c)
    assert similarity.shape == (len(q), len(c))
    assert np.all(np.abs(similarity) <= 1)
    np.testing.assert_allclose(similarity, cosine_similarity(c, q).T, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.diag(cosine_similarity(q, q)), 1, rtol=1e-12)


@given(vectors, vectors, st.floats(1e-290, 1e290))
def test_length_plays_no_part(q, c, scale):
    np.testing.assert_allclose(
        cosine_similarity(q * scale, c), cosine_similarity(q, c), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_float32_squares_may_leave_the_range(scale):
    tiny = np.array([[3.0, 4.0]], dtype="float32") * np.float32(scale)
    similarity = cosine_similarity(tiny, np.array([[1.0, 0.0]], dtype="float32"))
    np.testing.assert_allclose(similarity, [[0.6]], rtol=1e-6)


@pytest.mark.parametrize(
    ("query", "candidate", "result"),
    [
        ("float16", "float32", "float32"),
        ("float32", "float64", "float64"),
        ("int64", "int64", "float64"),
    ],
)
def test_result_type(query, candidate, result):
    similarity = cosine_similarity(np.ones((1, 2), query), np.ones((1, 2), candidate))
    assert similarity.dtype == result


def test_no_rows():
    assert cosine_similarity(np.empty((0, 3)), ITEMS).shape == (0, 2)


@pytest.mark.parametrize(
    ("queries", "candidates", "message"),
    [
        ([0.1, 0.2], ITEMS, r"`queries` of shape \(n_queries, dim\). Received: shape \(2,\)"),
        (USERS, [[1.0, 2.0]], r"same number of columns. Received: shapes \(2, 3\) and \(1, 2\)"),
        (
            USERS,
            [[1, 1, 1], [0, 0, 0], [0, 0, 0]],
            r"`candidates`.*row 1 is all zeros \(and 1 more",
        ),
        ([[1.0, np.nan, 0.0]], ITEMS, r"`queries`.*row 0 holds a NaN or an infinity"),
        ([[1.0, -np.inf, 0.0]], ITEMS, r"`queries`.*row 0 holds a NaN or an infinity"),
        (np.empty((1, 0)), np.empty((1, 0)), r"row 0 is all zeros"),
    ],
)
def test_input_without_a_direction_is_named(queries, candidates, message):
    with pytest.raises(ValueError, match=message):
        cosine_similarity(queries, candidates)
