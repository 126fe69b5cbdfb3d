import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_rs.layers import HardNegativeMining, SamplingProbabilityCorrection

from mmrec_tf.losses import bpr_loss, softmax_loss

RNG = np.random.default_rng(0)
POSITIVE = RNG.normal(size=(4, 2)).astype("float32")
NEGATIVES = RNG.normal(size=(4, 7)).astype("float32")


def by_hand(positive, negatives, temperature=1.0, log_q=None, mask=None, hard_negatives=None):
    """The definition, one query at a time, in float64."""
    losses = []
    for row, scores in enumerate(negatives.astype("float64") / temperature):
        if log_q is not None:
            scores = scores - log_q
        kept = [z for c, z in enumerate(scores) if mask is None or not mask[row, c]]
        kept = sorted(kept, reverse=True)[:hard_negatives]
        z = positive[row].astype("float64") / temperature
        losses.append(np.log(np.exp(z) + np.sum(np.exp(kept))) - z)
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
    expected = by_hand(POSITIVE, NEGATIVES, **options)
    loss = softmax_loss(POSITIVE, NEGATIVES, **options)
    np.testing.assert_allclose(loss, expected, rtol=1e-5, atol=1e-5)
    loss = softmax_loss(POSITIVE[:, 1], NEGATIVES, **options)
    np.testing.assert_allclose(loss, expected[:, 1], rtol=1e-5, atol=1e-5)


def test_agrees_with_keras():
    logits = np.hstack([POSITIVE[:, :1], NEGATIVES])
    labels = np.zeros(4)
    expected = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    np.testing.assert_allclose(softmax_loss(POSITIVE[:, 0], NEGATIVES), expected, rtol=1e-6)


def test_agrees_with_keras_rs():
    q = RNG.dirichlet(np.ones(7)).astype("float32")
    corrected = SamplingProbabilityCorrection(epsilon=1e-9)(NEGATIVES, q)
    logits = keras.ops.concatenate([POSITIVE[:, :1], corrected], axis=1)
    labels = np.eye(8, dtype="float32")[np.zeros(4, int)]
    mined, mined_labels = HardNegativeMining(3)(logits, labels)
    expected = keras.losses.categorical_crossentropy(mined_labels, mined, from_logits=True)
    loss = softmax_loss(POSITIVE[:, 0], NEGATIVES, log_q=np.log(q), hard_negatives=3)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_sampling_correction_makes_the_gradient_unbiased():
    """With candidates drawn by Q, the mean gradient tends to that of the softmax over all."""
    rng = np.random.default_rng(1)
    n_items, n_drawn, scores = 30, 2000, rng.normal(size=30).astype("float32")
    q = rng.dirichlet(np.full(n_items, 0.5)) + 0.005
    q /= q.sum()

    def gradient(correct):
        drawn = rng.choice(n_items, n_drawn, p=q)
        log_q = np.log(n_drawn * q[drawn]) if correct else None
        variable = tf.Variable(scores)
        with tf.GradientTape() as tape:  # Item 0 is the positive.
            loss = softmax_loss(
                variable[:1], tf.gather(variable, drawn)[None], log_q=log_q, mask=(drawn == 0)[None]
            )
        return tf.convert_to_tensor(tape.gradient(loss, variable)).numpy()

    expected = np.exp(scores) / np.exp(scores).sum() - np.eye(n_items)[0]
    corrected = np.mean([gradient(True) for _ in range(30)], axis=0)
    plain = np.mean([gradient(False) for _ in range(30)], axis=0)
    np.testing.assert_allclose(corrected, expected, atol=0.01)
    assert np.abs(plain - expected).max() > 0.05


def test_masked_candidates_have_no_gradient():
    negatives = tf.Variable(NEGATIVES)
    positive = tf.Variable(POSITIVE)
    mask = np.zeros((4, 7), bool)
    mask[:, 1] = True
    with tf.GradientTape() as tape:
        loss = softmax_loss(positive, negatives, mask=mask)
    of_negatives, of_positive = tape.gradient(loss, [negatives, positive])
    assert np.all(of_negatives.numpy()[:, 1] == 0)
    assert np.all(of_negatives.numpy()[:, [0, 2, 3, 4, 5, 6]] > 0)
    total = of_negatives.numpy().sum(axis=1) + of_positive.numpy().sum(axis=1)
    np.testing.assert_allclose(total, 0, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype):
    positive, negatives = (keras.ops.cast(x * 100, dtype) for x in (POSITIVE, NEGATIVES))
    mask = np.ones((4, 7), bool)
    mask[:, [0, 3]] = False
    loss = softmax_loss(positive, negatives, temperature=0.01, mask=mask, log_q=np.full(7, -30.0))
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert np.all(np.isfinite(loss))


def test_no_negatives_is_no_loss():
    loss = softmax_loss(POSITIVE, NEGATIVES, mask=np.ones((4, 7), bool))
    np.testing.assert_array_equal(loss, 0)


def test_bpr():
    positive, negative = np.array([2.0, -1.0]), np.array([0.5, 3.0])
    expected = -np.log(1 / (1 + np.exp(-(positive - negative))))
    np.testing.assert_allclose(bpr_loss(positive, negative), expected, rtol=1e-6)
    many = np.stack([negative, negative + 1], axis=1)
    np.testing.assert_allclose(bpr_loss(positive, many)[:, 0], expected, rtol=1e-6)
    assert np.all(np.isfinite(bpr_loss(np.array([1e4]), np.array([-1e4]))))
    assert float(bpr_loss(np.array([-1e4]), np.array([1e4]))[0]) == 2e4
