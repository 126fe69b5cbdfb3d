import keras
import numpy as np
import pytest
import tensorflow as tf

from mmrec_tf import load_catalog, load_catalog_truth
from mmrec_tf.encoders.training import (
    collaborative_targets,
    random_flip,
    random_shift,
    train_encoder,
    train_encoders,
)


@pytest.fixture(scope="module")
def shop():
    return load_catalog()


def test_targets_are_centred_directions_weighed_by_how_well_they_are_known(shop):
    part = shop.interactions[shop.interactions["item"] >= 500]
    targets, weights = collaborative_targets(shop, part, factors=8)
    counts = np.bincount(part["item"], minlength=shop.n_items)
    assert targets.dtype == weights.dtype == np.float32
    assert not targets[:500].any()
    assert not weights[:500].any()
    warm = counts > 0
    np.testing.assert_allclose(np.mean(targets[warm] ** 2), 1, rtol=1e-5)
    np.testing.assert_allclose(np.average(targets, axis=0, weights=weights), 0, atol=1e-5)
    np.testing.assert_allclose(weights[warm].mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(
        weights**2 / counts.clip(1), (weights[warm] ** 2 / counts[warm])[0] * warm, rtol=1e-4
    )
    # Directions: all vectors lie on a sphere around what was subtracted.
    centre, *_ = np.linalg.lstsq(
        np.c_[2 * targets[warm], np.ones(warm.sum())], (targets[warm] ** 2).sum(axis=1), rcond=None
    )
    radius = np.linalg.norm(targets[warm] - centre[:-1], axis=1)
    np.testing.assert_allclose(radius, radius.mean(), rtol=1e-4)


def test_targets_tell_what_content_shows_and_popularity_does_not(shop):
    """On the generated shop true attributes must explain most of the directions."""
    targets, weights = collaborative_targets(shop, shop.interactions)
    features = np.c_[load_catalog_truth().features(), np.ones(shop.n_items)]
    root = np.sqrt(weights)[:, None]
    solution = np.linalg.lstsq(features * root, targets * root, rcond=None)[0]
    error = np.average((targets - features @ solution) ** 2, axis=0, weights=weights).mean()
    assert error < 0.5


def toy(n=64):
    rng = np.random.default_rng(0)
    content = rng.integers(0, 255, (n, 4), dtype=np.uint8)
    targets = (content[:, :2] / 127.5 - 1).astype(np.float32)
    return content, targets


class Scaled(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(16)

    def call(self, x):
        return self.dense(keras.ops.cast(x, "float32") / 127.5 - 1)


def test_training_learns_and_is_the_same_twice():
    content, targets = toy()
    weights = np.ones(64)
    runs = []
    for _ in range(2):
        keras.utils.set_random_seed(1)
        model = train_encoder(
            Scaled(),
            content,
            targets,
            weights,
            epochs=60,
            batch_size=16,
            learning_rate=0.01,
            seed=1,
        )
        runs.append(model.predict(content, verbose=0))
    np.testing.assert_array_equal(*runs)
    assert np.mean((runs[0] - targets) ** 2) < 0.05 * np.mean(targets**2)


def test_items_without_weight_play_no_part():
    content, targets = toy()
    weights = np.ones(64)
    weights[40:] = 0
    spoilt = np.where(weights[:, None] > 0, targets, 1e6).astype(np.float32)
    runs = []
    for y in (targets, spoilt):
        keras.utils.set_random_seed(0)
        model = train_encoder(Scaled(), content, y, weights, epochs=2, batch_size=16)
        runs.append(model.predict(content, verbose=0))
    np.testing.assert_array_equal(*runs)


def test_too_few_items():
    content, targets = toy(8)
    with pytest.raises(ValueError, match=r"at least `batch_size` = 64 items[^\n]*Received: 8"):
        train_encoder(Scaled(), content, targets, np.ones(8))


def test_together_encoders_share_out_what_there_is_to_explain():
    content, targets = toy()
    # Each modality knows one half of the targets alone.
    parts = {"first": content[:, :1], "second": content[:, 1:]}
    keras.utils.set_random_seed(0)
    encoders = {name: Scaled() for name in parts}
    model = train_encoders(
        encoders, parts, targets, np.ones(64), epochs=80, batch_size=16, learning_rate=0.02
    )
    said = model.predict(parts, verbose=0)
    assert set(said) == {"first", "second"}
    assert np.mean((said["first"] + said["second"] - targets) ** 2) < 0.05
    assert np.var(said["first"][:, 0]) > 10 * np.var(said["second"][:, 0])
    assert model.history.history["loss"][-1] < 0.05


def test_together_augmentation_is_by_name():
    content, targets = toy()
    seen = []

    def spy(batch):
        seen.append(batch.shape)
        return batch

    parts = {"a": content, "b": content[:, :1]}
    train_encoders(
        {"a": Scaled(), "b": Scaled()}, parts, targets, np.ones(64), epochs=1, augment={"b": spy}
    )
    assert {tuple(shape[1:]) for shape in seen} == {(1,)}
    with pytest.raises(ValueError, match="each of the `encoders`"):
        train_encoders({"a": Scaled()}, parts, targets, np.ones(64))


def test_flip_mirrors_whole_items_half_of_the_time():
    images = tf.constant(np.arange(400 * 6).reshape(400, 2, 3).astype("int32"))
    tf.random.set_seed(0)
    flipped = random_flip(images, axes=(2,)).numpy()
    same = (flipped == images.numpy()).all(axis=(1, 2))
    mirrored = (flipped == images.numpy()[:, :, ::-1]).all(axis=(1, 2))
    assert (same ^ mirrored).all()
    assert 0.4 < same.mean() < 0.6


@pytest.mark.parametrize("axis", [1, 2])
def test_shift_moves_whole_items_and_loses_nothing(axis):
    images = np.arange(300 * 20).reshape(300, 4, 5).astype("int32")
    tf.random.set_seed(0)
    moved = random_shift(tf.constant(images), shifts={axis: 1}).numpy()
    moves = set()
    for before, after in zip(images, moved, strict=True):
        [move] = [m for m in (-1, 0, 1) if (np.roll(before, m, axis - 1) == after).all()]
        moves.add(move)
    assert moves == {-1, 0, 1}
