import keras
import numpy as np
import pytest
import tensorflow as tf

from mmrec_tf.encoders.image import ResNetEncoder, VGGEncoder
from mmrec_tf.encoders.video import VideoEncoder

POOLINGS = ["mean", "gru"]
CLIPS = np.random.default_rng(0).integers(0, 256, (3, 5, 8, 8, 3), dtype=np.uint8)
EXTREMES = np.stack([np.zeros_like(CLIPS[0]), np.full_like(CLIPS[0], 255), CLIPS[0] // 128 * 255])


def frames(**kwargs):
    return VGGEncoder(**{"dim": 4, "filters": (4,), **kwargs})


def pixels():
    """A frame encoder of another kind."""
    return keras.Sequential([keras.layers.Rescaling(1 / 2550), keras.layers.Flatten()])


@pytest.fixture(params=POOLINGS)
def encoder(request):
    keras.utils.set_random_seed(0)
    layer = VideoEncoder(frames(), 6, request.param)
    layer(CLIPS)
    return layer


def test_shape(encoder):
    assert encoder(CLIPS).shape == (3, 6)
    assert encoder.compute_output_shape((None, 5, 8, 8, 3)) == (None, 6)


def test_frames_come_with_their_difference_to_the_one_before(encoder, monkeypatch):
    monkeypatch.setattr(encoder, "over_time", lambda vectors: vectors)
    expected = np.zeros((3, 4, 8))
    for i, clip in enumerate(CLIPS):
        vectors = np.array(encoder.frame_encoder(clip))
        expected[i] = np.hstack([vectors[1:], vectors[1:] - vectors[:-1]])
    np.testing.assert_allclose(encoder(CLIPS), expected, atol=1e-5)
    # Nothing moves in a still clip.
    still = np.array(encoder(np.repeat(CLIPS[:, :1], 5, axis=1)))
    np.testing.assert_array_equal(still[..., 4:], 0)
    assert np.abs(still[..., :4]).max() > 0.1


def test_mean_agrees_with_its_formula():
    keras.utils.set_random_seed(0)
    layer = VideoEncoder(frames(), 6)
    layer(CLIPS)
    w1, b1, w2, b2 = layer.over_time.get_weights()
    vectors = np.reshape(layer.frame_encoder(CLIPS.reshape(15, 8, 8, 3)), (3, 5, 4))
    pairs = np.concatenate([vectors[:, 1:], np.diff(vectors, axis=1)], axis=-1)
    expected = np.maximum(pairs @ w1 + b1, 0).mean(axis=1) @ w2 + b2
    np.testing.assert_allclose(layer(CLIPS), expected, atol=1e-5)


def test_only_gru_sees_the_order(encoder):
    """Frames A B A C A and A C A B A hold the same changes in another order."""
    a, b, c = CLIPS[0, :3]
    one, other, backwards = np.array(
        encoder(np.stack([[a, b, a, c, a], [a, c, a, b, a], [a, c, b, a, a]]))
    )
    if encoder.pooling == "mean":
        np.testing.assert_allclose(one, other, atol=1e-5)
    else:
        assert np.abs(one - other).max() > 1e-3
    # Other changes are seen by both, though the frames are the same.
    assert np.abs(one - backwards).max() > 1e-3


def test_clips_played_backwards_differ(encoder):
    assert np.abs(encoder(CLIPS[:, ::-1].copy()) - encoder(CLIPS)).max(axis=1).min() > 1e-3


def test_a_clip_is_encoded_as_if_it_were_alone(encoder):
    together = np.array(encoder(np.concatenate([CLIPS, EXTREMES])))
    for clip, vector in zip(CLIPS, together, strict=False):
        np.testing.assert_allclose(encoder(clip[None])[0], vector, atol=1e-4)
    assert np.ptp(together, axis=0).max() > 1e-2


def test_frames_are_normalised_by_the_batch_in_training_alone(encoder):
    variables = encoder.frame_encoder.non_trainable_variables
    before = [w.numpy() for w in variables]
    inference = np.array(encoder(CLIPS))
    for old, variable in zip(before, variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    assert not np.allclose(encoder(CLIPS, training=True), inference, atol=1e-2)
    for old, variable in zip(before, variables, strict=True):
        assert np.all(old != variable.numpy()), variable.path


def test_gradients_are_finite_and_reach_every_weight(encoder):
    with tf.GradientTape() as tape:
        out = encoder(np.concatenate([CLIPS, EXTREMES]), training=True)
        loss = tf.reduce_sum(out**2 * np.arange(1, 7, dtype="float32"))
    weights = encoder.trainable_variables
    # Those of the frame encoder are among them.
    assert len(weights) == len(encoder.frame_encoder.trainable_variables) + len(
        encoder.over_time.trainable_variables
    )
    for weight, gradient in zip(
        weights, tape.gradient(loss, [w.value for w in weights]), strict=True
    ):
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.abs(gradient).max() > 1e-8, weight.path


@pytest.mark.parametrize("pooling", POOLINGS)
def test_half_precision_agrees_with_single(pooling):
    keras.utils.set_random_seed(0)
    clips = np.concatenate([CLIPS, EXTREMES])
    half_dtype = "mixed_float16"
    single = VideoEncoder(frames(), 6, pooling)
    half = VideoEncoder(frames(dtype=half_dtype), 6, pooling, dtype=half_dtype)
    single(clips)
    half(clips)
    half.set_weights(single.get_weights())
    out = half(clips)
    assert keras.backend.standardize_dtype(out.dtype) == "float16"
    np.testing.assert_allclose(out, single(clips), rtol=0.02, atol=0.02)
    assert np.isfinite(np.array(half(EXTREMES[:1], training=True), "float32")).all()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_weights_depend_on_the_seed_alone(pooling):
    def kernels(seed):
        keras.utils.set_random_seed(seed)
        layer = VideoEncoder(frames(), 6, pooling)
        layer(CLIPS)
        return [w.numpy() for w in layer.trainable_weights if "kernel" in w.path]

    for first, again, other in zip(kernels(7), kernels(7), kernels(8), strict=True):
        np.testing.assert_array_equal(first, again)
        assert np.all(first != other)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (frames, {}),
        (lambda: ResNetEncoder(3, (2, 3)), {"dim": 2, "pooling": "gru", "name": "clips"}),
        (lambda: frames(trainable=False), {"dim": 3, "dtype": "mixed_float16"}),
        (pixels, {"pooling": "gru", "dim": 5}),
    ],
)
def test_saved_and_loaded_is_the_same(make, settings, tmp_path):
    clips = keras.Input(CLIPS.shape[1:], dtype="uint8")
    model = keras.Model(clips, VideoEncoder(make(), **settings)(clips))
    layer = model.layers[-1]
    layer.set_weights([w + 0.1 for w in layer.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(CLIPS, verbose=0)
    assert np.ptp(expected) > 0
    np.testing.assert_array_equal(loaded.predict(CLIPS, verbose=0), expected)
    again = loaded.layers[-1]
    assert (again.dim, again.pooling, again.name) == (layer.dim, layer.pooling, layer.name)
    assert again.dtype_policy.name == layer.dtype_policy.name
    assert type(again.frame_encoder) is type(layer.frame_encoder)
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


def test_made_again_from_its_configuration():
    layer = VideoEncoder(frames(), 6, "gru", name="clips")
    config = layer.get_config()
    first, second = VideoEncoder.from_config(config), VideoEncoder.from_config(config)
    assert first.get_config() == second.get_config() == config == layer.get_config()
    assert first.frame_encoder is not second.frame_encoder
    assert type(first.frame_encoder) is VGGEncoder


def test_a_frame_encoder_that_has_learnt_is_kept():
    pictures = frames()
    pictures(CLIPS[0])
    weights = pictures.weights
    VideoEncoder(pictures, 6)(CLIPS)
    assert all(new is old for new, old in zip(pictures.weights, weights, strict=True))


def brighter(n, seed):
    """Clips that grow brighter step by step, the odd ones; the even ones are played backwards."""
    rng = np.random.default_rng(seed)
    later = np.arange(n) % 2
    clips = rng.integers(0, 100, (n, 4, 8, 8, 1), dtype=np.uint8)
    clips += (np.arange(4) * 50).astype(np.uint8)[:, None, None, None]
    clips[later == 0] = clips[later == 0, ::-1]
    return clips, later


def moving(n, seed):
    """A scene that changes from frame to frame, the odd clips; the even ones stand still."""
    rng = np.random.default_rng(seed)
    moves = np.arange(n) % 2
    light = rng.integers(0, 2, (n, 4, 1, 1, 1)) * 150
    light[:, 1] = 150 - light[:, 0]
    clips = (rng.integers(0, 100, (n, 4, 8, 8, 1)) + light).astype("uint8")
    clips[moves == 0] = clips[moves == 0, :1]
    return clips, moves


@pytest.mark.parametrize(("pooling", "task"), [("gru", brighter), ("mean", moving)])
def test_learns_what_happens(pooling, task):
    keras.utils.set_random_seed(0)
    clips = keras.Input((4, 8, 8, 1), dtype="uint8")
    layer = VideoEncoder(frames(), 8, pooling)
    model = keras.Model(clips, keras.layers.Dense(1)(layer(clips)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=True)
    model.fit(*task(64, seed=0), batch_size=16, epochs=12, verbose=0)
    # Normalised by what was remembered, not by the batch.
    assert model.evaluate(*task(32, seed=1), batch_size=1, verbose=0) < 0.1


def test_faults_are_named():
    with pytest.raises(ValueError, match=r"to be 'mean' or 'gru'. Received: 'max'"):
        VideoEncoder(frames(), pooling="max")
    with pytest.raises(ValueError, match=r"`dim` of at least 1. Received: 0"):
        VideoEncoder(frames(), 0)
    layer = VideoEncoder(frames())
    with pytest.raises(ValueError, match=r"least 2 frames. Received: shape \(3, 1, 8, 8, 3\)"):
        layer(CLIPS[:, :1])
    with pytest.raises(ValueError, match=r"Received: shape \(5, 8, 8, 3\)"):
        layer(CLIPS[0])
    with pytest.raises(ValueError, match=r"Received: shape \(None, None, 8, 8, 3\)"):
        layer(keras.Input((None, 8, 8, 3), dtype="uint8"))
    # As the frame encoder names them.
    with pytest.raises(ValueError, match="at least 2×2 pixels"):
        VideoEncoder(frames())(CLIPS[:, :, :1])
    with pytest.raises(ValueError, match="as integers from 0 to 255"):
        VideoEncoder(frames())(CLIPS / 255)
