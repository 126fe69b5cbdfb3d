import keras
import numpy as np
import pytest
import tensorflow as tf

from mmrec_tf.encoders.image import BackboneEncoder, ResidualBlock, ResNetEncoder, VGGEncoder

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
EXTREMES = np.stack([np.zeros_like(IMAGES[0]), np.full_like(IMAGES[0], 255)])
# So wide that a backbone's last map has more than one place.
PHOTOS = RNG.integers(0, 256, (2, 32, 64, 3), dtype=np.uint8)


def vgg(**kwargs):
    return VGGEncoder(**{"dim": 5, "filters": (4, 8), **kwargs})


def resnet(**kwargs):
    return ResNetEncoder(**{"dim": 5, "filters": (4, 8), **kwargs})


ENCODERS = [vgg, resnet]
each_encoder = pytest.mark.parametrize("make", ENCODERS)


def shaken(layer, images=IMAGES):
    """Build the layer, and give every weight a value that training could have left."""
    layer(images)
    rng = np.random.default_rng(1)
    layer.set_weights([w + rng.uniform(0.1, 0.3, w.shape) for w in layer.get_weights()])
    return layer


@pytest.fixture(params=ENCODERS)
def encoder(request):
    keras.utils.set_random_seed(0)
    return shaken(request.param())


# --- Encoders that learn from nothing ---------------------------------------------------------


def test_shape(encoder):
    assert encoder(IMAGES).shape == (4, 5)
    assert encoder.compute_output_shape((None, 16, 16, 3)) == (None, 5)


def test_pixels_go_in_from_minus_one_to_one(encoder, monkeypatch):
    monkeypatch.setattr(encoder, "body", lambda pixels, training: pixels)
    pixels = np.array(encoder(np.resize(np.uint8([0, 51, 255]), (1, 4, 4, 3))))
    np.testing.assert_allclose(pixels[0, 0, 0], [-1, -0.6, 1], atol=1e-6)
    assert pixels.dtype == np.float32


def test_each_block_halves(encoder):
    encoder = type(encoder)(3, (2, 3, 4))
    encoder.build((None, 16, 24, 3))
    [pooling] = [
        layer
        for layer in encoder.body.layers
        if isinstance(layer, keras.layers.GlobalAveragePooling2D)
    ]
    assert pooling.input.shape == (None, 2, 3, 4)


def test_the_vector_does_not_depend_on_the_place(encoder):
    """A thing on a plain ground, far from the edges, moved by what the blocks halve to one."""
    images = np.full((3, 48, 48, 3), 90, np.uint8)
    images[0, 20:24, 20:24] = images[1, 24:28, 20:24] = 250
    here, there, nowhere = np.array(encoder(images))
    np.testing.assert_allclose(here, there, rtol=1e-4)
    assert np.abs(here - nowhere).max() > 1e-2


def test_vgg_agrees_with_its_formulas():
    layer = shaken(vgg(filters=(4,)))
    *weights, kernel, bias = layer.trainable_weights
    x = (IMAGES / 127.5 - 1).astype("float32")
    for i in range(2):
        conv, gamma, beta = weights[3 * i : 3 * i + 3]
        mean, variance = layer.non_trainable_weights[2 * i : 2 * i + 2]
        x = (tf.nn.conv2d(x, conv, 1, "SAME") - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        x = tf.nn.relu(x)
    x = np.reshape(x, (4, 8, 2, 8, 2, 4)).max((2, 4)).mean((1, 2))
    np.testing.assert_allclose(layer(IMAGES), x @ kernel + bias, rtol=1e-3)


def test_a_picture_is_encoded_as_if_it_were_alone(encoder):
    together = np.array(encoder(np.concatenate([IMAGES, EXTREMES])))
    for image, vector in zip(IMAGES, together, strict=False):
        np.testing.assert_allclose(encoder(image[None])[0], vector, rtol=1e-4, atol=1e-4)
    assert np.ptp(together, axis=0).max() > 1e-2


def test_training_normalises_by_the_batch_and_remembers(encoder):
    before = [w.numpy() for w in encoder.non_trainable_variables]
    inference = np.array(encoder(IMAGES))
    np.testing.assert_array_equal(encoder(IMAGES, training=False), inference)
    for old, variable in zip(before, encoder.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    assert not np.allclose(encoder(IMAGES, training=True), inference, atol=1e-2)
    for old, variable in zip(before, encoder.non_trainable_variables, strict=True):
        assert np.all(old != variable.numpy()), variable.path
    # Ten batches are remembered, not a hundred.
    for _ in range(60):
        training = np.array(encoder(IMAGES, training=True))
    np.testing.assert_allclose(encoder(IMAGES), training, rtol=0.02, atol=0.02)


def test_gradients_are_finite_and_reach_every_weight(encoder):
    with tf.GradientTape() as tape:
        out = encoder(IMAGES, training=True)
        loss = tf.reduce_sum(tf.math.l2_normalize(out, axis=1) * np.arange(5, dtype="float32"))
    weights = encoder.trainable_variables
    gradients = tape.gradient(loss, [w.value for w in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.abs(gradient).max() > 1e-8, weight.path


@each_encoder
def test_half_precision_agrees_with_single(make):
    keras.utils.set_random_seed(0)
    images = np.concatenate([IMAGES, EXTREMES])
    single, half = shaken(make()), shaken(make(dtype="mixed_float16"))
    half.set_weights(single.get_weights())
    out = half(images)
    assert keras.backend.standardize_dtype(out.dtype) == "float16"
    expected = np.array(single(images))
    np.testing.assert_allclose(out, expected, rtol=0.02, atol=0.01 * np.abs(expected).max())
    assert np.isfinite(np.array(half(images, training=True), "float32")).all()
    # A batch without any variance is the hardest to normalise.
    assert np.isfinite(np.array(half(EXTREMES[:1], training=True), "float32")).all()


@each_encoder
def test_weights_depend_on_the_seed_alone(make):
    def kernels(seed):
        keras.utils.set_random_seed(seed)
        layer = make()
        layer(IMAGES)
        return [w.numpy() for w in layer.trainable_weights if "kernel" in w.path]

    for first, again, other in zip(kernels(7), kernels(7), kernels(8), strict=True):
        np.testing.assert_array_equal(first, again)
        assert np.all(first != other)


@pytest.mark.parametrize(
    "layer",
    [
        vgg(),
        resnet(),
        VGGEncoder(3, [2, 3, 2], dtype="mixed_float16", name="pictures"),
        ResNetEncoder(filters=(6,), dim=2, trainable=False),
    ],
)
def test_saved_and_loaded_is_the_same(layer, tmp_path):
    images = keras.Input(IMAGES.shape[1:], dtype="uint8")
    model = keras.Model(images, shaken(layer)(images))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(IMAGES, verbose=0)
    assert np.ptp(expected) > 0
    np.testing.assert_array_equal(loaded.predict(IMAGES, verbose=0), expected)
    assert loaded.layers[-1].get_config() == layer.get_config()
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


def colours(n, seed):
    """Pictures full of noise, the odd ones rather red, the others rather green."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 156, (n, 16, 16, 3), dtype=np.uint8)
    red = np.arange(n) % 2
    images[np.arange(n), :, :, 1 - red] += 100
    return images, red


@each_encoder
def test_learns_red_from_green(make):
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3), dtype="uint8")
    model = keras.Model(images, keras.layers.Dense(1)(make()(images)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=True)
    model.fit(*colours(64, seed=0), batch_size=16, epochs=8, verbose=0)
    # Normalised by what was remembered, not by the batch.
    assert model.evaluate(*colours(32, seed=1), batch_size=1, verbose=0) < 0.1


@each_encoder
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES / 255, "as integers from 0 to 255.*Received: float"),
        (IMAGES > 127, "Received: bool"),
        (IMAGES[0], r"\(batch, height, width, channels\).*Received: shape \(16, 16, 3\)"),
        (IMAGES[:, :3], r"at least 4×4 pixels. Received: shape \(4, 3, 16, 3\)"),
        (IMAGES[:, :, :3], r"Received: shape \(4, 16, 3, 3\)"),
    ],
)
def test_images_that_are_none(make, images, message):
    with pytest.raises(ValueError, match=message):
        make()(images)


@each_encoder
def test_faults_are_named(make):
    for wrong in ({"dim": 0}, {"filters": ()}, {"filters": (4, 0)}):
        with pytest.raises(ValueError, match=r"`filters`, all at least 1. Received: dim="):
            make(**wrong)
    with pytest.raises(ValueError, match=r"Received: shape \(None, None, 16, 3\)"):
        make()(keras.Input((None, 16, 3), dtype="uint8"))
    # The smallest that is allowed has something left to halve in every block.
    assert np.isfinite(make()(IMAGES[:, :4, :4])).all()
    # A model of floats says so as soon as it is run.
    floats = keras.Input((16, 16, 3))
    with pytest.raises(ValueError, match=r"Pass uint8, to `keras.Input` as `dtype` too"):
        keras.Model(floats, make()(floats)).predict(IMAGES, verbose=0)


# --- A residual block -------------------------------------------------------------------------


def maps(*shape):
    return np.random.default_rng(2).normal(size=shape).astype("float32")


def test_block_that_adds_nothing_is_the_identity():
    block, x = ResidualBlock(3), maps(2, 5, 4, 3)
    block(x)
    assert block.shortcut.weights == []
    gamma = block.branch.layers[-1].gamma
    gamma.assign(np.zeros(3))
    np.testing.assert_array_equal(block(x), np.maximum(x, 0))


@pytest.mark.parametrize(
    ("filters", "strides", "shape"),
    [(3, 1, (2, 5, 4, 3)), (4, 1, (2, 5, 4, 3)), (3, 2, (2, 6, 4, 3)), (4, 2, (2, 7, 6, 3))],
)
def test_block_agrees_with_its_formulas(filters, strides, shape):
    block, x = ResidualBlock(filters, strides), maps(*shape)
    block(x)
    kernels = [w for w in block.weights if w.path.endswith("kernel")]
    norm = 1 / np.sqrt(1 + 1e-3)  # At first, remembered means are 0 and variances 1.
    branch = tf.nn.relu(tf.nn.conv2d(x, kernels[0], strides, "SAME") * norm)
    branch = tf.nn.conv2d(branch, kernels[1], 1, "SAME") * norm
    kept = x
    if (filters, strides) != (3, 1):
        pooled = tf.nn.avg_pool2d(x, strides, strides, "SAME")
        kept = tf.nn.conv2d(pooled, kernels[2], 1, "SAME") * norm
    out = block(x)
    np.testing.assert_allclose(out, np.maximum(kept + branch, 0), rtol=1e-4, atol=1e-5)
    assert block.compute_output_shape((None, *shape[1:])) == (None, *out.shape[1:])


def test_block_saved_and_loaded_is_the_same(tmp_path):
    inputs, x = keras.Input((7, 6, 3)), maps(2, 7, 6, 3)
    model = keras.Model(inputs, shaken(ResidualBlock(5, strides=2), x)(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), expected)


# --- Networks that others have trained --------------------------------------------------------


def as_if_trained(name):
    """A network with random weights whose normalisation knows its inputs, so that none vanish."""
    network = getattr(keras.applications, name)(include_top=False, weights=None)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(np.random.default_rng(3).uniform(-1, 1, (8, 32, 32, 3)), training=True)
    return network


@pytest.mark.parametrize("name", ["MobileNetV2", "VGG16"])
def test_weights_from_a_file(name, tmp_path):
    """Two backbones that scale their pixels differently."""
    scale = {
        "MobileNetV2": keras.applications.mobilenet_v2.preprocess_input,
        "VGG16": keras.applications.vgg16.preprocess_input,
    }[name]
    keras.utils.set_random_seed(0)
    own = as_if_trained(name)
    own.save_weights(tmp_path / "x.weights.h5")
    expected = np.array(own(scale(PHOTOS.astype("float32")))).mean((1, 2))
    assert np.ptp(expected) > 0.01

    keras.utils.set_random_seed(1)
    layer = BackboneEncoder(name, weights=tmp_path / "x.weights.h5")
    np.testing.assert_allclose(layer(PHOTOS), expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert layer.compute_output_shape((None, 32, 64, 3)) == (None, expected.shape[1])


def test_frozen_backbone_saves_its_weights_itself(tmp_path, monkeypatch):
    file = tmp_path / "x.weights.h5"
    as_if_trained("MobileNetV2").save_weights(file)
    images = keras.Input((32, 64, 3), dtype="uint8")
    layer = BackboneEncoder("MobileNetV2", weights=str(file), dtype="mixed_float16")
    model = keras.Model(images, layer(images))
    expected = np.array(model(PHOTOS))
    assert expected.dtype == np.float16
    assert np.ptp(expected) > 0.1
    # Nothing is learnt, nor remembered, when a model around it trains.
    assert model.trainable_weights == []
    before = layer.get_weights()
    np.testing.assert_array_equal(layer(PHOTOS, training=True), layer(PHOTOS))
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

    model.save(tmp_path / "model.keras")
    file.unlink()
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(PHOTOS), expected)
    assert loaded.trainable_weights == []
    # Nor does a backbone drop anything out, as some do in training.
    modes = []
    monkeypatch.setattr(layer, "network", lambda x, training: modes.append(training) or x)
    layer(PHOTOS, training=True)
    assert modes == [False]


def test_backbone_that_is_trained():
    keras.utils.set_random_seed(0)
    layer = BackboneEncoder("MobileNetV2", trainable=True)
    with tf.GradientTape() as tape:
        # Of other sizes than 32×32, and normalised by the batch.
        out = layer(np.repeat(PHOTOS, 2, axis=1), training=True)
        loss = tf.reduce_sum(out * np.arange(1280, dtype="float32"))
    assert not np.allclose(out, layer(np.repeat(PHOTOS, 2, axis=1)), rtol=0.1)
    weights = layer.trainable_variables
    for weight, gradient in zip(
        weights, tape.gradient(loss, [w.value for w in weights]), strict=True
    ):
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.any(np.array(gradient) != 0), weight.path
    assert layer.get_config()["trainable"]


def test_backbone_names_what_is_wrong(tmp_path):
    for name in ("MobileNetV9", "mobilenet_v2", "__name__"):
        with pytest.raises(ValueError, match=f"among .*'MobileNetV2'.*Received: '{name}'"):
            BackboneEncoder(name)
    for path in (tmp_path, tmp_path / "none.weights.h5"):
        with pytest.raises(FileNotFoundError, match=f"`weights` to be a file.*{path.name}"):
            BackboneEncoder("MobileNetV2", weights=path)
    layer = BackboneEncoder("MobileNetV2")
    with pytest.raises(ValueError, match="at least 32×32 pixels"):
        layer(PHOTOS[:, :31])
    with pytest.raises(ValueError, match="as integers from 0 to 255"):
        layer(PHOTOS / 255)
