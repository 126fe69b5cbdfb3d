import numpy as np
import pytest

from mmrec_tf.encoders.audio import LogMelSpectrogram
from mmrec_tf.encoders.descriptors import describe_audio, describe_image, describe_video


def tone(frequency, *, start=0.0, loudness=8000, rate=16_000):
    time = np.arange(rate) / rate
    return (loudness * np.sin(2 * np.pi * frequency * time) * (time >= start)).astype(np.int16)


def test_colours_are_counted_wherever_they_are():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3), np.uint8)
    mixed = rng.permutation(image.reshape(-1, 3)).reshape(image.shape)
    one, other = describe_image(np.stack([image, mixed]))
    np.testing.assert_array_equal(one[:64], other[:64])
    np.testing.assert_allclose(np.square(one[:64]).sum(), 1)
    # A quarter of the picture has the highest level of green and of blue: 3 · 4 + 3.
    image = np.zeros((1, 8, 8, 3), np.uint8)
    image[0, :4, :4, 1:] = 200
    colours = describe_image(image)[0, :64]
    assert colours[[0, 15]].tolist() == [np.sqrt(0.75), 0.5]
    assert np.count_nonzero(colours) == 2


def test_edges_know_their_direction():
    stripes = np.zeros((16, 16, 3), np.uint8)
    stripes[::2] = 120
    rows, columns = describe_image(np.stack([stripes, stripes.transpose(1, 0, 2)]))[:, 64:]
    # From row to row the grey changes by 120, all of it; along a row by nothing.
    np.testing.assert_allclose(rows, [2.4, 1, 1, 0, 0, 0])
    np.testing.assert_allclose(columns, [0, 0, 0, 2.4, 1, 1])


def test_a_pitch_is_found_and_loudness_and_time_play_no_part():
    _, frames, bands = LogMelSpectrogram().compute_output_shape((1, 16_000))
    sounds = [tone(300), tone(2000), tone(2000, loudness=4000)]
    vectors = describe_audio(np.stack(sounds))
    assert vectors.shape == (3, 2 * bands + frames - 1)
    low, high, quiet = vectors[:, :bands].argmax(axis=1)
    assert low < high == quiet
    early, late = describe_audio(np.stack([tone(500, start=0.25), tone(500, start=0.5)]))
    # The onset is the largest rise, and the last after sorting, whenever it came.
    for rises in (early[2 * bands :], late[2 * bands :]):
        assert (np.diff(rises) >= 0).all()
        assert rises[-1] > 10 * np.median(rises)


def test_many_sounds_give_what_each_gives():
    sounds = np.stack([tone(100 + 7 * n) for n in range(300)])
    together = describe_audio(sounds)
    np.testing.assert_allclose(together[[0, 299]], describe_audio(sounds[[0, 299]]), atol=1e-5)


@pytest.mark.parametrize(("down", "across"), [(0, 2), (3, 0), (2, 2)])
def test_motion_is_followed(down, across):
    clip = np.zeros((1, 6, 32, 32, 3), np.uint8)
    for frame in range(6):
        clip[0, frame, 8 + down * frame, 8 + across * frame] = 255
    (vector,) = describe_video(clip)
    assert vector.shape == (5 * 5 + 62,)
    x, y, moves_x, moves_y, total, blocks = np.split(vector, [5, 10, 14, 18, 23])
    # A difference lies half-way between the old place and the new one.
    middle = (8 + across * (np.arange(5) + 0.5)) / 32
    np.testing.assert_allclose(x, middle, rtol=1e-5)
    np.testing.assert_allclose(moves_x, across / 32, atol=1e-6)
    np.testing.assert_allclose(moves_y, down / 32, atol=1e-6)
    np.testing.assert_allclose(y, (8 + down * (np.arange(5) + 0.5)) / 32, rtol=1e-5)
    np.testing.assert_allclose(total, 2 * 255 / 2000, rtol=1e-5)
    assert np.count_nonzero(blocks) <= 6


def test_a_clip_in_which_nothing_moves_is_finite():
    vector = describe_video(np.full((1, 4, 16, 16, 3), 9, np.uint8))
    assert np.isfinite(vector).all()
    assert (vector[0, -64:] == 0).all()
