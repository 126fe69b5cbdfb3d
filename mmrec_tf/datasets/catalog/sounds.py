"""Sounds of generated items: a short tune, played note by note from tables of one wave."""

import functools

import numpy as np

from mmrec_tf._random import random_bits
from mmrec_tf.datasets.catalog.arithmetic import choice, sine, uniform

RATE = 16_000  # samples a second
SAMPLES = 16_000

# One instrument a value of the attribute "timbre", flute first: the strength of its first
# harmonics, the seconds that a note takes to swell, and how steeply it then dies away.
_INSTRUMENTS = (
    ((1.0, 0.22, 0.06), 0.050, 1),
    ((1.0, 0.0, 0.55, 0.0, 0.32, 0.0, 0.18), 0.030, 1),
    ((1.0, 0.60, 0.42, 0.32, 0.24, 0.18, 0.14, 0.10), 0.070, 1),
    ((0.8, 0.7, 0.0, 0.6, 0.0, 0.0, 0.0, 0.4), 0.012, 1),
    ((1.0, 0.0, 0.0, 0.55, 0.0, 0.30, 0.0, 0.0, 0.12), 0.004, 3),
    ((1.0, 0.45, 0.30, 0.10, 0.12, 0.06), 0.004, 6),
)
_MAJOR, _MINOR = (0, 4, 7, 12), (0, 3, 7, 12)  # a chord, in semitones above its root
# Places in the chord, note by note; every tune brings the third, which tells major from minor.
_TUNES = (
    (0, 1, 2, 3, 2, 1, 0),
    (0, 1, 0, 2, 1, 3, 2),
    (2, 1, 0, 1, 2, 3, 1),
    (3, 1, 2, 0, 1, 2, 1),
    (1, 0, 2, 1, 3, 2, 0),
)
_ROOTS = (0, 2, 3, 5)  # A, B, C, D; in semitones above A of 220 Hz
_SEMITONES = (  # frequency of each semitone of an octave, in units of 2**-32
    4294967296, 4550359342, 4820937788, 5107605667, 5411319705, 5733093519, 6074001000,
    6435179895, 6817835604, 7223245206, 7652761717, 8107818609,
)  # fmt: skip
_TABLE = 2048  # samples of one wave
_TURN = 2**32  # steps of phase in one wave
_SHORTEST = 1_200  # samples of the last note, else it is left out
_FADE = 400  # samples in which everything falls silent at the end

_KEY = 41


def render_sounds(seed, items, timbre, mood):
    """Play one tune an item.

    Key, tune, exact tempo and loudness vary from item to item and mean nothing.

    Args:
        seed: the shop's seed.
        items: int array of shape `(n,)`.
        timbre: int array of shape `(n,)`: flute, reed, strings, organ, bells, pluck.
        mood: int array of shape `(n,)`: slow major, slow minor, fast major, fast minor.

    Returns:
        int16 array of shape `(n, 16000)`, 16,000 samples a second.

    Example:

    >>> bells, cheerful = np.array([4]), np.array([2])
    >>> render_sounds(0, np.array([7]), bells, cheerful).shape
    (1, 16000)
    """
    key = (seed, _KEY)
    tunes = choice(len(_TUNES), (*key, 0), items).tolist()
    roots = np.array(_ROOTS)[choice(len(_ROOTS), (*key, 1), items)].tolist()
    loudness = uniform(0.55, 0.95, (*key, 2), items)
    length = np.where(mood >= 2, 2400, 5200) + choice(300, (*key, 3), items)
    start = choice(400, (*key, 4), items)
    phases = (random_bits((*key, 5), items) >> np.uint64(32)).astype(np.int64)
    waves, swells = _waves(), _swells()
    sounds = np.empty((len(items), SAMPLES), np.int16)
    for row, (instrument, chord) in enumerate(zip(timbre.tolist(), mood.tolist(), strict=True)):
        sound = np.zeros(SAMPLES)
        scale = _MINOR if chord % 2 else _MAJOR
        for note, place in enumerate(_TUNES[tunes[row]]):
            begin = int(start[row] + note * length[row])
            # Notes ring on into the next ones, but not beyond the end.
            n = min(SAMPLES - begin, 2 * int(length[row]))
            if n < _SHORTEST:
                break
            step = _step(roots[row] + scale[place])
            phase = (int(phases[row]) + step * _clock()[:n]) % _TURN
            wave = waves[instrument][phase >> 21]
            swell, steepness = swells[instrument]
            left = _clock()[n:0:-1] / n  # from 1 down to nearly 0
            for _ in range(steepness):
                wave *= left
            wave[: len(swell)] *= swell[:n]
            sound[begin : begin + n] += wave
        sound[-_FADE:] *= (_FADE - 1 - _clock()[:_FADE]) / (_FADE - 1.0)
        sounds[row] = np.floor(sound * (loudness[row] * 12_000.0) + 0.5)
    return sounds


def _step(semitones):
    """Return the steps of phase a sample of a note so many semitones above 220 Hz."""
    octave, semitone = divmod(semitones, 12)
    return (220 * _SEMITONES[semitone] << octave) // RATE


@functools.cache
def _clock():
    """Return 0, 1, 2, …, 16000."""
    return np.arange(SAMPLES + 1)


@functools.cache
def _waves():
    """Return one wave of each instrument, shape `(6, 2048)`, all of equal power."""
    pure = sine(np.arange(_TABLE) / _TABLE)
    place = np.arange(_TABLE)
    waves = []
    for harmonics, _, _ in _INSTRUMENTS:
        wave, power = np.zeros(_TABLE), 0.0
        for number, strength in enumerate(harmonics, 1):
            wave = wave + strength * pure[place * number % _TABLE]
            power += strength * strength
        waves.append(wave * (0.6 / np.sqrt(power)))
    return np.stack(waves)


@functools.cache
def _swells():
    """Return for each instrument the rise of a note, from 0 to 1, and how steeply it dies."""
    swells = []
    for _, seconds, steepness in _INSTRUMENTS:
        rise = np.arange(int(seconds * RATE)) / (seconds * RATE)
        swells.append((rise * rise * (3.0 - 2.0 * rise), steepness))
    return swells
