import numpy as np
import pytest
from scipy.optimize import minimize

from mmrec_tf.encoders.regression import ContentRegression

RNG = np.random.default_rng(0)
N = 200
CONTENT = {"image": RNG.normal(3, 5, (N, 4)), "text": RNG.normal(0, 0.1, (N, 9))}
TARGETS = np.c_[CONTENT["image"][:, 0] / 5, CONTENT["text"][:, 0] / 0.1] + RNG.normal(
    0, 0.1, (N, 2)
)
WEIGHTS = RNG.uniform(0.5, 2, N) * (np.arange(N) >= 50)


def test_is_the_weighted_ridge_of_least_loss_up_to_its_length():
    """Against a minimiser that knows nothing of the closed form."""
    strength = 7.0
    x = np.hstack(
        [
            (c - c[50:].mean(axis=0)) / (c[50:].std(axis=0) + 1e-3) / np.sqrt(c.shape[1])
            for c in CONTENT.values()
        ]
    )

    def loss(w):
        w = w.reshape(x.shape[1], 2)
        gap = x @ w - TARGETS
        return np.sum(WEIGHTS[:, None] * gap**2) + strength * np.sum(w**2), (
            2 * (x.T @ (WEIGHTS[:, None] * gap) + strength * w)
        ).ravel()

    best = minimize(loss, np.zeros(x.shape[1] * 2), jac=True, tol=1e-12).x.reshape(-1, 2)
    expected = x @ best
    expected /= np.sqrt(np.mean(np.sum(expected[50:] ** 2, axis=1)))
    model = ContentRegression(regularization=strength).fit(CONTENT, TARGETS, WEIGHTS)
    np.testing.assert_allclose(model.predict(CONTENT), expected, atol=1e-4)


def test_items_without_weight_change_nothing():
    other = {name: values.copy() for name, values in CONTENT.items()}
    targets = TARGETS.copy()
    for values in (*other.values(), targets):
        values[:50] = 1e6
    a = ContentRegression().fit(CONTENT, TARGETS, WEIGHTS)
    b = ContentRegression().fit(other, targets, WEIGHTS)
    np.testing.assert_array_equal(a.predict(CONTENT), b.predict(CONTENT))


def test_each_part_depends_on_its_modality_alone_and_they_add_up():
    model = ContentRegression().fit(CONTENT, TARGETS, WEIGHTS)
    parts = model.parts(CONTENT)
    changed = model.parts(CONTENT | {"text": CONTENT["text"] + 1})
    np.testing.assert_array_equal(parts["image"], changed["image"])
    assert not np.allclose(parts["text"], changed["text"])
    np.testing.assert_allclose(
        model.predict(CONTENT), parts["image"] + parts["text"], rtol=1e-5, atol=1e-6
    )
    # An item that is average in a modality hears nothing from it.
    np.testing.assert_allclose(
        model.parts({n: m[None] for n, m in model.means.items()})["text"], 0, atol=1e-7
    )


def test_units_of_a_modality_do_not_matter():
    # 1e-3 is added to every deviation: columns must be far above it.
    big = {name: 1000 * values for name, values in CONTENT.items()}
    model = ContentRegression().fit(big, TARGETS, WEIGHTS)
    bigger = {name: 1000 * values for name, values in big.items()}
    other = ContentRegression().fit(bigger, TARGETS, WEIGHTS)
    np.testing.assert_allclose(model.predict(big), other.predict(bigger), atol=1e-4)


def test_a_constant_column_and_hopeless_content_stay_finite():
    flat = {"flat": np.ones((N, 3))}
    model = ContentRegression().fit(flat, TARGETS, WEIGHTS)
    np.testing.assert_array_equal(model.predict(flat), np.zeros((N, 2), np.float32))


@pytest.mark.parametrize(
    ("content", "weights", "message"),
    [
        ({}, WEIGHTS, "some content"),
        (CONTENT, np.zeros(N), "weight above 0"),
        ({"image": CONTENT["image"][:-1]}, WEIGHTS, r"'image' of shape \(200, n_columns\)"),
        ({"image": CONTENT["image"][:, 0]}, WEIGHTS, r"'image' of shape \(200, n_columns\)"),
        (CONTENT, WEIGHTS[:-1], "199 weights"),
        ({"image": np.full((N, 2), np.nan)}, WEIGHTS, "finite numbers in 'image'"),
    ],
)
def test_bad_content_is_named(content, weights, message):
    with pytest.raises(ValueError, match=message):
        ContentRegression().fit(content, TARGETS, weights)


def test_prediction_wants_the_modalities_of_fit():
    with pytest.raises(RuntimeError, match="Call `fit` first"):
        ContentRegression().predict(CONTENT)
    model = ContentRegression().fit(CONTENT, TARGETS, WEIGHTS)
    with pytest.raises(ValueError, match=r"\['image', 'text'\]. Received: \['text'\]"):
        model.predict({"text": CONTENT["text"]})
