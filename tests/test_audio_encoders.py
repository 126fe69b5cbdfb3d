import keras
import numpy as np
import pytest
import tensorflow as tf

from mmrec_tf.encoders.audio import (
    ConvolutionalAudioEncoder,
    LogMelSpectrogram,
    RecurrentAudioEncoder,
    mel_filters,
)
from mmrec_tf.encoders.training import train_encoder

LENGTH = 4096  # Samples: 7 frames.
RNG = np.random.default_rng(0)
SOUNDS = RNG.normal(0, 3000, (4, LENGTH)).astype("int16")
LOUD = RNG.choice(np.int16([-32768, 32767]), (1, LENGTH))
EXTREMES = np.concatenate([np.zeros_like(LOUD), LOUD, np.full_like(LOUD, -32768)])


def gru(**kwargs):
    return RecurrentAudioEncoder(**{"dim": 5, "units": 6, **kwargs})


def lstm(**kwargs):
    return gru(cell="lstm", **kwargs)


def convolutional(**kwargs):
    return ConvolutionalAudioEncoder(**{"dim": 5, "filters": (3, 4), **kwargs})


ENCODERS = [gru, lstm, convolutional]
each_encoder = pytest.mark.parametrize("make", ENCODERS)


def shaken(layer):
    """Build the layer, and give every weight a value that training could have left."""
    layer(SOUNDS)
    rng = np.random.default_rng(1)
    layer.set_weights([w + rng.uniform(0.1, 0.3, w.shape) for w in layer.get_weights()])
    return layer


@pytest.fixture(params=ENCODERS)
def encoder(request):
    keras.utils.set_random_seed(0)
    layer = request.param()
    layer(SOUNDS)
    return layer


def tone(hertz, length=LENGTH, rate=16_000, loudness=10_000):
    return (loudness * np.sin(2 * np.pi * hertz * np.arange(length) / rate)).astype("int16")


def mel_edges(bands, rate):
    """Frequencies at which bands begin, peak and end; the scale's factor 2595 plays no part."""
    low, high = np.log1p(60 / 700), np.log1p(rate / 2 / 700)
    return 700 * np.expm1(np.linspace(low, high, bands + 2))


# --- Spectrograms -----------------------------------------------------------------------------


def test_spectrogram_agrees_with_its_formula():
    rate, frame, hop, bands = 8000, 64, 24, 6
    sounds = RNG.integers(-32768, 32768, (2, 301), dtype=np.int16)
    edges = mel_edges(bands, rate)
    n = np.arange(frame)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / frame)  # Its period is a frame.
    expected = np.zeros((2, 10, bands))
    for t in range(10):
        spectrum = np.fft.rfft(window * sounds[:, t * hop : t * hop + frame] / 32768)
        for b in range(bands):
            for k, bin_power in enumerate((np.abs(spectrum) ** 2).T):
                weight = np.interp(k * rate / frame, edges[b : b + 3], [0, 1, 0])
                expected[:, t, b] += weight * bin_power
    out = LogMelSpectrogram(rate, frame, hop, bands)(sounds)
    np.testing.assert_allclose(out, np.log(np.maximum(expected, 1e-5)), atol=2e-5)


@pytest.mark.parametrize(
    ("samples", "frames"), [(1024, 1), (1535, 1), (1536, 2), (2047, 2), (2048, 3), (16_000, 30)]
)
def test_only_whole_frames_count(samples, frames):
    layer = LogMelSpectrogram()
    sounds = RNG.normal(0, 3000, (1, samples)).astype("int16")
    out = layer(sounds)
    assert out.shape == layer.compute_output_shape((1, samples)) == (1, frames, 128)
    used = 1024 + (frames - 1) * 512
    np.testing.assert_array_equal(layer(sounds[:, :used]), out)
    sounds[:, used:] = 32767
    np.testing.assert_array_equal(layer(sounds), out)


@pytest.mark.parametrize("hertz", [220, 440, 466.16, 880, 1760, 3520, 7040])
def test_a_tone_is_in_the_band_of_its_frequency(hertz):
    loudest = np.argmax(LogMelSpectrogram()(tone(hertz)[None])[0], axis=-1)
    edges = mel_edges(128, 16_000)
    assert np.all(edges[loudest] < hertz)
    assert np.all(hertz < edges[loudest + 2])


def test_a_full_scale_sine_is_as_loud_as_documented():
    # In one frequency, that is: what leaks into the neighbours is a quarter each.
    spectrum = LogMelSpectrogram(bands=1)(tone(1000, loudness=32767)[None])
    weight = mel_filters(bands=1)[63:66, 0]
    expected = (1024 / 4) ** 2 * (weight @ [0.25, 1, 0.25])
    np.testing.assert_allclose(spectrum, np.log(expected), atol=0.01)
    assert 20 * np.log10(32767) == pytest.approx(90, abs=0.5)


def test_silence_is_the_floor():
    out = LogMelSpectrogram()(np.zeros((2, LENGTH), "int16"))
    np.testing.assert_allclose(out, np.full((2, 7, 128), np.log(1e-5)), rtol=1e-6)


def test_twice_as_loud_is_four_times_the_power():
    once, twice = np.array(LogMelSpectrogram()(np.stack([SOUNDS[0] // 2 * 2, SOUNDS[0] // 2 * 4])))
    np.testing.assert_allclose(twice - once, np.log(4), atol=1e-4)


def test_spectrogram_in_half_precision():
    # Beside a loud tone, even the rounding of samples is heard.
    sounds = np.concatenate([SOUNDS, EXTREMES, tone(440, loudness=32767)[None]])
    out = LogMelSpectrogram(dtype="mixed_float16")(sounds)
    assert keras.backend.standardize_dtype(out.dtype) == "float16"
    np.testing.assert_allclose(out, LogMelSpectrogram()(sounds), atol=0.01)


def test_compiled_it_is_the_same():
    layer = LogMelSpectrogram()
    compiled = tf.function(layer, jit_compile=True)(tf.constant(SOUNDS))
    np.testing.assert_allclose(compiled, layer(SOUNDS), atol=1e-3)


def test_spectrogram_saved_and_loaded_is_the_same(tmp_path):
    sounds = keras.Input((LENGTH,), dtype="int16")
    layer = LogMelSpectrogram(rate=8000, frame=600, hop=200, bands=20)
    model = keras.Model(sounds, layer(sounds))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(SOUNDS, verbose=0)
    assert expected.shape == (4, 18, 20)
    np.testing.assert_array_equal(loaded.predict(SOUNDS, verbose=0), expected)
    assert loaded.layers[-1].get_config() == layer.get_config()


@pytest.mark.parametrize(
    ("rate", "frame", "bands"), [(16_000, 1024, 128), (8000, 1023, 60), (44_100, 2048, 80)]
)
def test_mel_bands(rate, frame, bands):
    filters = mel_filters(rate, frame, bands)
    frequencies = np.arange(frame // 2 + 1) * rate / frame
    edges = mel_edges(bands, rate)
    assert filters.shape == (len(frequencies), bands)
    assert filters.dtype == np.float32
    for b, band in enumerate(filters.T):
        triangle = np.interp(frequencies, edges[b : b + 3], [0, 1, 0])
        np.testing.assert_allclose(band, triangle, atol=1e-5)
        # Nothing outside, and the most at the frequency that is nearest to the middle, or next.
        inside = (edges[b] < frequencies) & (frequencies < edges[b + 2])
        np.testing.assert_array_equal(band > 1e-5, inside & (triangle > 1e-5))
        assert abs(frequencies[band.argmax()] - edges[b + 1]) < rate / frame
    # Between the first middle and the last, where one band falls the next rises by as much.
    between = (frequencies >= edges[1]) & (frequencies <= edges[-2])
    np.testing.assert_allclose(filters[between].sum(axis=1), 1, atol=1e-5)
    assert filters.min() == 0
    assert filters.max() <= 1


def test_spectrogram_names_what_is_wrong():
    with pytest.raises(ValueError, match=r"90 bands and 256 samples, so that band 1 holds no fre"):
        mel_filters(frame=256, bands=90)
    with pytest.raises(ValueError, match="300 bands and 1024 samples"):
        LogMelSpectrogram(bands=300)
    with pytest.raises(ValueError, match=r"`hop` of at least 1. Received: 0"):
        LogMelSpectrogram(hop=0)


# --- All encoders -----------------------------------------------------------------------------


def test_shape(encoder):
    assert encoder(SOUNDS).shape == (4, 5)
    assert encoder.compute_output_shape((None, LENGTH)) == (None, 5)


def test_the_body_gets_standardised_spectrograms(encoder, monkeypatch):
    sounds = np.concatenate([SOUNDS, EXTREMES])
    logs = np.array(LogMelSpectrogram()(sounds))
    monkeypatch.setattr(encoder, "body", lambda maps, training: maps)
    maps = np.array(encoder(sounds))
    expected = logs - logs.mean((1, 2), keepdims=True)
    expected /= np.sqrt(logs.var((1, 2), keepdims=True) + 1)
    np.testing.assert_allclose(maps, expected, atol=1e-4)
    assert np.abs(maps[4]).max() < 1e-5, "silence is not blown up"


def test_loudness_plays_no_part_but_its_rise_does(encoder):
    loud = RNG.normal(0, 8000, (1, LENGTH)).clip(-32000, 32000).astype("int16")
    vector = np.array(encoder(loud))
    np.testing.assert_allclose(encoder(loud // 16), vector, atol=0.02)
    rising = (loud * np.linspace(0.01, 1, LENGTH)).astype("int16")
    assert np.abs(encoder(rising) - vector).max() > 0.05


def test_a_sound_is_encoded_as_if_it_were_alone(encoder):
    together = np.array(encoder(np.concatenate([SOUNDS, EXTREMES])))
    for sound, vector in zip(SOUNDS, together, strict=False):
        np.testing.assert_allclose(encoder(sound[None])[0], vector, atol=1e-4)
    assert np.ptp(together, axis=0).max() > 1e-2


def test_gradients_are_finite_and_reach_every_weight(encoder):
    with tf.GradientTape() as tape:
        out = encoder(np.concatenate([SOUNDS, EXTREMES]), training=True)
        loss = tf.reduce_sum(out**2 * np.arange(1, 6, dtype="float32"))
    weights = encoder.trainable_variables
    gradients = tape.gradient(loss, [w.value for w in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert np.all(np.isfinite(gradient)), weight.path
        assert np.abs(gradient).max() > 1e-8, weight.path


@each_encoder
def test_half_precision_agrees_with_single(make):
    keras.utils.set_random_seed(0)
    sounds = np.concatenate([SOUNDS, EXTREMES])
    single, half = make(), make(dtype="mixed_float16")
    single(sounds)
    half(sounds)
    half.set_weights(single.get_weights())
    out = half(sounds)
    assert keras.backend.standardize_dtype(out.dtype) == "float16"
    np.testing.assert_allclose(out, single(sounds), rtol=0.02, atol=0.02)
    # A batch without any variance is the hardest to normalise.
    assert np.isfinite(np.array(half(EXTREMES[:1], training=True), "float32")).all()


@each_encoder
def test_weights_depend_on_the_seed_alone(make):
    def kernels(seed):
        keras.utils.set_random_seed(seed)
        layer = make()
        layer(SOUNDS)
        return [w.numpy() for w in layer.trainable_weights if "kernel" in w.path]

    for first, again, other in zip(kernels(7), kernels(7), kernels(8), strict=True):
        np.testing.assert_array_equal(first, again)
        assert np.all(first != other)


@pytest.mark.parametrize(
    ("encoder_class", "settings"),
    [
        (RecurrentAudioEncoder, {}),
        (RecurrentAudioEncoder, {"dim": 3, "cell": "lstm", "units": 4, "rate": 8000}),
        (ConvolutionalAudioEncoder, {}),
        (ConvolutionalAudioEncoder, {"dim": 3, "filters": [2], "dtype": "mixed_float16"}),
        (ConvolutionalAudioEncoder, {"rate": 8000, "name": "sounds", "trainable": False}),
    ],
)
def test_saved_and_loaded_is_the_same(encoder_class, settings, tmp_path):
    # Long enough for the three blocks of the default.
    some = np.tile(SOUNDS, 2)
    sounds = keras.Input((some.shape[1],), dtype="int16")
    model = keras.Model(sounds, encoder_class(**settings)(sounds))
    layer = model.layers[-1]
    layer.set_weights([w + 0.1 for w in layer.get_weights()])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(some, verbose=0)
    assert np.ptp(expected) > 0
    np.testing.assert_array_equal(loaded.predict(some, verbose=0), expected)
    assert loaded.layers[-1].get_config() == layer.get_config()
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


def octaves(n, seed):
    """Tones in noise, the even ones of 440 Hz, the odd ones an octave higher; any loudness."""
    rng = np.random.default_rng(seed)
    octave = np.arange(n) % 2
    waves = np.stack([tone(440), tone(880)])[octave] * rng.uniform(0.1, 2, (n, 1))
    waves += rng.normal(0, 500, (n, LENGTH))
    return waves.astype("int16"), octave


@each_encoder
def test_learns_an_octave(make):
    keras.utils.set_random_seed(0)
    sounds = keras.Input((LENGTH,), dtype="int16")
    model = keras.Model(sounds, keras.layers.Dense(1)(make()(sounds)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=True)
    model.fit(*octaves(64, seed=0), batch_size=16, epochs=10, verbose=0)
    # Normalised by what was remembered, not by the batch.
    assert model.evaluate(*octaves(32, seed=1), batch_size=1, verbose=0) < 0.1


@pytest.mark.parametrize("make", [LogMelSpectrogram, *ENCODERS])
@pytest.mark.parametrize(
    ("sounds", "message"),
    [
        (SOUNDS / 32768, "as integers from -32768 to 32767.*Received: float"),
        (SOUNDS > 0, "Received: bool"),
        (SOUNDS[0], r"\(batch, samples\).*Received: shape \(4096,\)"),
        (SOUNDS[..., None], r"Received: shape \(4, 4096, 1\)"),
        (SOUNDS[:, :1023], r"at least 1024 samples. Received: shape \(4, 1023\)"),
    ],
)
def test_sounds_that_are_none(make, sounds, message):
    with pytest.raises(ValueError, match=message):
        make()(sounds)


def test_faults_are_named():
    for encoder_class in (RecurrentAudioEncoder, ConvolutionalAudioEncoder):
        with pytest.raises(ValueError, match=r"`dim` of at least 1. Received: 0"):
            encoder_class(0)
    with pytest.raises(ValueError, match=r"to be 'gru' or 'lstm'. Received: 'rnn'"):
        gru(cell="rnn")
    for filters in ((), (4, 0)):
        with pytest.raises(ValueError, match="one or more `filters`"):
            convolutional(filters=filters)
    with pytest.raises(ValueError, match=r"at least 4 frames for 2 blocks. Received: 3 frames of"):
        convolutional()(SOUNDS[:, :2559])
    assert np.isfinite(convolutional()(SOUNDS[:, :2560])).all()
    with pytest.raises(ValueError, match=r"Received: shape \(None, None\)"):
        gru()(keras.Input((None,), dtype="int16"))


# --- What each hears --------------------------------------------------------------------------


def test_cells_and_rates():
    # An LSTM has four maps from its input, a GRU three.
    for make, maps in ((gru, 3), (lstm, 4)):
        layer = make()
        layer(SOUNDS)
        assert layer.trainable_weights[0].shape == (128, maps * 6)
    # The same samples, played at half the speed.
    layer = shaken(gru(rate=8000))
    same = shaken(gru())
    same.set_weights(layer.get_weights())
    assert not np.allclose(layer(SOUNDS), same(SOUNDS), atol=1e-2)


@pytest.mark.parametrize("make", [gru, lstm])
def test_recurrent_encoder_hears_the_order(make):
    keras.utils.set_random_seed(0)
    layer = make()
    high, low = tone(880), tone(440)
    up, down = np.array(layer(np.stack([np.append(low, high), np.append(high, low)])))
    assert np.abs(up - down).max() > 0.02
    # From the first frame to the last.
    maps = np.random.default_rng(0).normal(size=(1, 15, 128)).astype("float32")
    recurrent, out = layer.body.layers
    states = [np.zeros((1, 6), "float32")] * (2 if layer.cell == "lstm" else 1)
    for t in range(15):
        memory, states = recurrent.cell(maps[:, t], states)
    np.testing.assert_allclose(layer.body(maps), out(memory), atol=1e-5)


def test_convolutions_hear_a_note_at_any_time_but_not_at_any_pitch():
    keras.utils.set_random_seed(0)
    layer = convolutional()
    layer(np.zeros((1, 1024 + 31 * 512), "int16"))
    maps = np.zeros((4, 32, 128), "float32")
    maps[0, 12, 60] = maps[1, 16, 60] = maps[2, 12, 64] = maps[3, 12, 92] = 5
    first, later, *higher = np.array(layer.body(maps))
    np.testing.assert_allclose(later, first, atol=1e-5)
    assert np.abs(higher - first).max(axis=1).min() > 1e-2


def test_convolutions_are_normalised_by_the_batch_in_training_alone():
    layer = shaken(convolutional())
    before = [w.numpy() for w in layer.non_trainable_variables]
    inference = np.array(layer(SOUNDS))
    for old, variable in zip(before, layer.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    assert not np.allclose(layer(SOUNDS, training=True), inference, atol=1e-2)
    for old, variable in zip(before, layer.non_trainable_variables, strict=True):
        assert np.all(old != variable.numpy()), variable.path
    # Ten batches are remembered, not a hundred; the last normalisation waits for the others.
    for _ in range(100):
        training = np.array(layer(SOUNDS, training=True))
    np.testing.assert_allclose(layer(SOUNDS), training, rtol=0.02, atol=0.02)


def test_no_number_of_the_vectors_is_pushed_below_zero_for_every_sound():
    # With 512 inputs to the last layer that are never negative, a few steps of training did.
    hertz = np.geomspace(200, 2000, 64)
    sounds = np.stack([tone(f, 1024 + 31 * 512, loudness=9000) for f in hertz])
    targets = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    keras.utils.set_random_seed(0)
    encoder = ConvolutionalAudioEncoder(dim=16)
    train_encoder(encoder, sounds, targets, np.ones(64), epochs=12, batch_size=16)
    assert np.all(np.any(np.array(encoder(sounds)) > 0, axis=0))
