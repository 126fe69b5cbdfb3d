import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_rs.layers import HardNegativeMining, SamplingProbabilityCorrection

from mmrec_tf.losses import bpr_loss, softmax_loss

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(4, 7)).astype("float32")
POSITIVES = np.array([3, 0, 6, 3])


def by_hand(scores, positives, temperature=1.0, log_q=None, mask=None, hard_negatives=None):
    """The definition, one query at a time, in float64."""
    losses = []
    for row, p in enumerate(positives):
        z = scores[row].astype("float64") / temperature
        if log_q is not None:
            z = z - log_q
        negatives = [c for c in range(len(z)) if c != p and not (mask is not None and mask[row, c])]
        negatives = sorted((z[c] for c in negatives), reverse=True)[:hard_negatives]
        losses.append(np.log(np.exp(z[p]) + np.sum(np.exp(negatives))) - z[p])
    return np.array(losses)


OPTIONS = {
    "temperature": [1.0, 0.1],
    "log_q": [None, np.log(RNG.dirichlet(np.ones(7)))],
    "mask": [None, RNG.random((4, 7)) < 0.4],
    "hard_negatives": [None, 3],
}


@pytest.mark.parametrize("values", list(itertools.product(*OPTIONS.values())))
def test_definition(values):
    options = dict(zip(OPTIONS, values, strict=True))
    loss = softmax_loss(SCORES, POSITIVES, **options)
    np.testing.assert_allclose(loss, by_hand(SCORES, POSITIVES, **options), rtol=1e-5, atol=1e-5)


def test_agrees_with_keras():
    expected = keras.losses.sparse_categorical_crossentropy(POSITIVES, SCORES, from_logits=True)
    np.testing.assert_allclose(softmax_loss(SCORES, POSITIVES), expected, rtol=1e-6)


def test_agrees_with_keras_rs():
    q = RNG.dirichlet(np.ones(7)).astype("float32")
    logits = SamplingProbabilityCorrection(epsilon=1e-9)(SCORES, q)
    labels = np.eye(7, dtype="float32")[POSITIVES]
    mined, mined_labels = HardNegativeMining(3)(logits, labels)
    expected = keras.losses.categorical_crossentropy(mined_labels, mined, from_logits=True)
    loss = softmax_loss(SCORES, POSITIVES, log_q=np.log(q), hard_negatives=3)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_sampling_correction_makes_the_gradient_unbiased():
    """With candidates drawn by Q, the mean gradient tends to that of the softmax over all."""
    rng = np.random.default_rng(1)
    n_items, n_drawn, scores = 30, 2000, rng.normal(size=30).astype("float32")
    q = rng.dirichlet(np.full(n_items, 0.5)) + 0.005
    q /= q.sum()

    def gradient(correct):
        candidates = np.append(0, rng.choice(n_items, n_drawn, p=q))  # Item 0 is the positive.
        log_q = np.log(n_drawn * q[candidates]) if correct else np.zeros(n_drawn + 1)
        log_q[0] = 0  # It is there for certain.
        mask = np.append(False, candidates[1:] == 0)[None]
        variable = tf.Variable(scores)
        with tf.GradientTape() as tape:
            similarities = tf.gather(variable, candidates)[None]
            loss = softmax_loss(similarities, np.array([0]), log_q=log_q, mask=mask)
        return tf.convert_to_tensor(tape.gradient(loss, variable)).numpy()

    expected = np.exp(scores) / np.exp(scores).sum() - np.eye(n_items)[0]
    corrected = np.mean([gradient(True) for _ in range(30)], axis=0)
    plain = np.mean([gradient(False) for _ in range(30)], axis=0)
    np.testing.assert_allclose(corrected, expected, atol=0.01)
    assert np.abs(plain - expected).max() > 0.05


def test_masked_candidates_have_no_gradient():
    scores = tf.Variable(SCORES)
    mask = np.zeros((4, 7), bool)
    mask[:, 1] = True
    with tf.GradientTape() as tape:
        loss = softmax_loss(scores, POSITIVES, mask=mask)
    gradient = tape.gradient(loss, scores).numpy()
    assert gradient[0, 1] == 0  # masked
    assert gradient[1, 1] == 0
    assert np.all(gradient[np.arange(4), POSITIVES] < 0)
    np.testing.assert_allclose(gradient.sum(axis=1), 0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    scores = keras.ops.cast(SCORES * 100, dtype)
    mask = np.ones((4, 7), bool)
    mask[:, [0, 3]] = False
    loss = softmax_loss(scores, POSITIVES, temperature=0.01, mask=mask, log_q=np.full(7, -30.0))
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert np.all(np.isfinite(loss))


def test_all_masked_is_no_loss():
    loss = softmax_loss(SCORES, POSITIVES, mask=np.ones((4, 7), bool))
    np.testing.assert_array_equal(loss, 0)


def test_bpr():
    positive, negative = np.array([2.0, -1.0]), np.array([0.5, 3.0])
    expected = -np.log(1 / (1 + np.exp(-(positive - negative))))
    np.testing.assert_allclose(bpr_loss(positive, negative), expected, rtol=1e-6)
    many = np.stack([negative, negative + 1], axis=1)
    np.testing.assert_allclose(bpr_loss(positive, many)[:, 0], expected, rtol=1e-6)
    assert np.all(np.isfinite(bpr_loss(np.array([1e4]), np.array([-1e4]))))
    assert float(bpr_loss(np.array([-1e4]), np.array([1e4]))[0]) == 2e4
