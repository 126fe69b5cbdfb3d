import keras
import numpy as np
import pytest
import tensorflow as tf

from mmrec_tf.fusion import (
    AttentionFusion,
    ConcatFusion,
    GatedFusion,
    LateFusion,
    ModalityDropout,
)

FUSIONS = [ConcatFusion, GatedFusion, AttentionFusion, LateFusion]
RNG = np.random.default_rng(0)
VECTORS = {
    "text": RNG.normal(size=(6, 5)).astype("float32"),
    "image": RNG.normal(size=(6, 3)).astype("float32"),
    "audio": RNG.normal(size=(6, 4)).astype("float32"),
}
PRESENT = {
    "text": np.array([1, 1, 0, 0, 1, 0], bool),
    "image": np.array([1, 0, 1, 0, 1, 0], bool),
    "audio": np.array([1, 0, 0, 1, 1, 0], bool),
}
ALL = {name: np.ones(6, bool) for name in VECTORS}


@pytest.fixture(params=FUSIONS)
def fusion(request):
    keras.utils.set_random_seed(0)
    layer = request.param(8)
    layer(VECTORS, PRESENT)
    return layer


def test_shape(fusion):
    assert fusion(VECTORS, PRESENT).shape == (6, 8)


def test_what_is_absent_plays_no_part(fusion):
    other = {
        name: np.where(PRESENT[name][:, None], v, np.nan).astype("float32")
        for name, v in VECTORS.items()
    }
    np.testing.assert_array_equal(fusion(VECTORS, PRESENT), fusion(other, PRESENT))


def test_what_is_present_does(fusion):
    before = np.array(fusion(VECTORS, PRESENT))
    for name in VECTORS:
        changed = {**VECTORS, name: VECTORS[name] + 1}
        moved = np.any(np.array(fusion(changed, PRESENT)) != before, axis=1)
        np.testing.assert_array_equal(moved, PRESENT[name])


def test_absence_itself_says_something(fusion):
    without = {**ALL, "image": np.zeros(6, bool)}
    assert not np.allclose(fusion(VECTORS, ALL), fusion(VECTORS, without))


def test_gradients_are_finite_and_reach_every_weight(fusion):
    inputs = {name: tf.Variable(v) for name, v in VECTORS.items()}
    with tf.GradientTape() as tape:
        out = fusion({name: tf.convert_to_tensor(v) for name, v in inputs.items()}, PRESENT)
        # As a two-tower model does; the last item has no modality at all.
        loss = tf.reduce_sum(tf.math.l2_normalize(out, axis=1) * np.arange(8, dtype="float32"))
    weights = fusion.trainable_variables
    gradients = tape.gradient(loss, [w.value for w in weights] + list(inputs.values()))
    for weight, gradient in zip(weights, gradients, strict=False):
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.any(np.array(gradient) != 0), weight.path
    for (name, present), gradient in zip(PRESENT.items(), gradients[len(weights) :], strict=True):
        assert np.all(np.isfinite(gradient))
        assert np.all(np.array(gradient)[~present] == 0), name


@pytest.mark.parametrize("fusion_class", FUSIONS)
def test_finite_in_half_precision(fusion_class):
    layer = fusion_class(8, dtype="mixed_float16")
    large = {name: v * 30 for name, v in VECTORS.items()}
    out = layer(large, PRESENT)
    assert keras.backend.standardize_dtype(out.dtype) == "float16"
    assert np.all(np.isfinite(np.array(out, "float32")))


@pytest.mark.parametrize("fusion_class", FUSIONS)
def test_saved_and_loaded_is_the_same(fusion_class, tmp_path):
    vectors = {name: keras.Input((v.shape[1],), name=name) for name, v in VECTORS.items()}
    present = {name: keras.Input((), dtype="bool", name=f"{name}_present") for name in VECTORS}
    dropped = ModalityDropout(0.3, seed=1)(present)
    model = keras.Model([vectors, present], fusion_class(8)(vectors, dropped))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict([VECTORS, PRESENT], verbose=0)
    np.testing.assert_array_equal(loaded.predict([VECTORS, PRESENT], verbose=0), expected)


@pytest.mark.parametrize("fusion_class", FUSIONS)
def test_learns_which_modality_matters_when_one_is_missing(fusion_class):
    """The target is in either of two modalities; the third is noise."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    target = rng.normal(size=(512, 1)).astype("float32")
    vectors = {
        "a": np.hstack([target, rng.normal(size=(512, 2))]).astype("float32"),
        "b": np.hstack([rng.normal(size=(512, 2)), target]).astype("float32"),
        "c": rng.normal(size=(512, 3)).astype("float32"),
    }
    first = rng.random(512) < 0.5
    present = {"a": first, "b": ~first, "c": np.ones(512, bool)}
    inputs = [
        {name: keras.Input((3,), name=name) for name in vectors},
        {name: keras.Input((), dtype="bool", name=f"{name}_present") for name in present},
    ]
    out = keras.layers.Dense(1)(fusion_class(16)(*inputs))
    model = keras.Model(inputs, out)
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=True)
    model.fit([vectors, present], target, batch_size=64, epochs=40, verbose=0)
    assert model.evaluate([vectors, present], target, verbose=0) < 0.05


def test_attention_weighs_only_what_is_there():
    layer = AttentionFusion(8)
    layer(VECTORS, PRESENT)
    weights = np.array(layer.attention(VECTORS, PRESENT))
    here = np.stack([PRESENT[name] for name in sorted(PRESENT)], axis=1)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-6)
    assert np.all(weights[:5][~here[:5]] == 0)
    assert np.all(weights[:5][here[:5]] > 0)
    assert np.all(weights[5] > 0), "without any modality all absent vectors count"


def test_modality_dropout_drops_at_its_rate_and_never_everything():
    present = {name: np.ones(4000, bool) for name in "abc"}
    present["c"][:1000] = False
    layer = ModalityDropout(0.4, seed=0)
    kept = {name: np.array(v) for name, v in layer(present, training=True).items()}
    assert not np.any(kept["c"][:1000]), "what is absent stays absent"
    assert np.all(kept["a"] | kept["b"] | kept["c"])
    # Of three, one that is dropped with probability 0.4 is brought back if it is the largest of
    # three that are all dropped: 0.6 + 0.4³ / 3.
    share = np.mean([kept[name][1000:].mean() for name in "abc"])
    assert abs(share - (0.6 + 0.4**3 / 3)) < 0.01
    again = layer(present, training=True)
    assert np.any(np.array(again["a"]) != kept["a"]), "drawn anew in every call"
    for name, values in layer(present, training=False).items():
        np.testing.assert_array_equal(values, present[name])


def test_alone_modality_is_never_dropped():
    kept = ModalityDropout(0.9, seed=0)({"a": np.array([True, False])}, training=True)
    np.testing.assert_array_equal(kept["a"], [True, False])


@pytest.mark.parametrize("fusion_class", FUSIONS)
def test_faults_are_named(fusion_class):
    with pytest.raises(ValueError, match=r"`dim` of at least 1. Received: 0"):
        fusion_class(0)
    layer = fusion_class(4)
    layer(VECTORS, PRESENT)
    some = {name: VECTORS[name] for name in ("text", "image")}
    with pytest.raises(ValueError, match=r"\['audio', 'image', 'text'\].*Received: \['image', 'te"):
        layer(some, PRESENT)
    with pytest.raises(ValueError, match=r"`rate` in \[0, 1\). Received: 1"):
        ModalityDropout(1)


def test_late_fusion_adds_scores_and_modalities_do_not_interact():
    keras.utils.set_random_seed(0)
    late = LateFusion(8)
    late(VECTORS, ALL)
    query = RNG.normal(size=8).astype("float32")
    alone = [
        np.array(VECTORS[name] @ late.projections[name].kernel + late.projections[name].bias)
        @ query
        for name in VECTORS
    ]
    np.testing.assert_allclose(
        np.array(late(VECTORS, ALL)) @ query, sum(alone), rtol=1e-4, atol=1e-5
    )
