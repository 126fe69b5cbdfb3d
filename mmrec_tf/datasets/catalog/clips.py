"""Clips of generated items: a small thing that moves for one second."""

import functools

import numpy as np

from mmrec_tf._random import random_bits
from mmrec_tf.datasets.catalog.arithmetic import choice, clip01, cosine, sine, to_uint8, uniform
from mmrec_tf.datasets.catalog.shapes import (
    box,
    ellipse,
    look_up,
    polygon_field,
    rounded,
    star,
    union,
)

FRAMES, SIZE = 8, 32
RATE = 8  # frames a second
CYCLES = np.array([0.55, 1.3, 2.8])  # periods a clip, one a value of the attribute "speed"

_KEY = 31


def render_clips(seed, items, motion, speed):
    """Film one clip an item.

    The thing's shape, colour and size, where it starts, which way round it goes and what is
    behind it vary from item to item and mean nothing. All are drawn independently of the
    item's picture, so that a clip tells nothing about the item's colour.

    Args:
        seed: the shop's seed.
        items: int array of shape `(n,)`.
        motion: int array of shape `(n,)`: slide, bounce, orbit, spin, pulse, zigzag.
        speed: int array of shape `(n,)`, positions in `CYCLES`.

    Returns:
        uint8 array of shape `(n, 8, 32, 32, 3)`, 8 frames a second.

    Example:

    >>> orbit, fast = np.array([2]), np.array([2])
    >>> render_clips(0, np.array([7]), orbit, fast).shape
    (1, 8, 32, 32, 3)
    """

    def number(which):  # One number an item, shaped to broadcast over frames and pixels.
        return (seed, _KEY, which), items[:, None, None, None]

    line = (np.arange(SIZE) + 0.5) * (2.0 / SIZE) - 1.0
    x, y = line[None, None, None, :], line[None, None, :, None]
    move_x, move_y, angle, growth = (
        part[:, :, None, None] for part in _paths(seed, items, motion, speed)
    )
    scale = uniform(0.30, 0.38, *number(0)) * growth
    move_x = move_x + uniform(-0.1, 0.1, *number(1))
    move_y = move_y + uniform(-0.1, 0.1, *number(2))
    angle = angle + uniform(-0.08, 0.08, *number(3))
    right, down = (x - move_x) / scale, (y - move_y) / scale
    u = cosine(angle) * right + sine(angle) * down
    v = cosine(angle) * down - sine(angle) * right
    fields = _fields()
    shape = choice(len(fields) - 1, *number(4))
    pixels = scale * (SIZE / 2.0)
    body = clip01(0.5 - look_up(fields, shape, u, v) * pixels)
    mark = clip01(0.5 - look_up(fields, len(fields) - 1, u, v) * pixels)

    picture = _background(seed, items, number, x, y)
    shade_x, shade_y = right - 0.25, down - 0.35
    shadow = clip01(1.25 - shade_x * shade_x - shade_y * shade_y)
    picture = picture * (1.0 - 0.22 * shadow)[..., None]
    paint = _paint(seed, items)
    light = (1.0 - 0.10 * right - 0.12 * down)[..., None]
    picture += body[..., None] * (paint * light - picture)
    picture += mark[..., None] * (0.97 - picture)
    return to_uint8(picture + _grain(seed, items)[..., None])


def _paths(seed, items, motion, speed):
    """Return place right and down, angle in turns, and growth: four of shape `(n, 8)`."""

    def number(low, high, which):
        return uniform(low, high, (seed, _KEY, which), items)[:, None]

    cycles = CYCLES[speed][:, None] * number(0.92, 1.08, 5)
    way = 2.0 * choice(2, (seed, _KEY, 6), items)[:, None] - 1.0
    reach = number(0.45, 0.60, 7)
    phase = number(0.0, 1.0, 8) + way * cycles * (np.arange(FRAMES) / FRAMES)
    still = np.zeros_like(phase)
    swing, turn = reach * sine(phase), reach * cosine(phase)
    part = phase - np.floor(phase)
    hop = 4.0 * part * (1.0 - part)  # a parabola, as under gravity
    saw = np.abs(2.0 * part - 1.0) * 2.0 - 1.0
    half = 0.5 * phase - np.floor(0.5 * phase)
    drift = np.abs(2.0 * half - 1.0) * 2.0 - 1.0
    kinds = [  # right, down, angle, growth
        (swing, still, still, still + 1.0),
        (still, reach * (1.0 - 2.0 * hop), still, still + 1.0),
        (swing, turn, still, still + 1.0),
        (still, still, phase, still + 1.4),
        (still, still, still, 1.1 + 0.6 * sine(phase)),
        (reach * drift, reach * saw, still, still + 1.0),
    ]
    chosen = [motion[:, None] == code for code in range(len(kinds))]
    return [np.select(chosen, part) for part in zip(*kinds, strict=True)]


def _background(seed, items, number, x, y):
    """Return a pale slope from one colour to another, shape `(n, 1, 32, 32, 3)`."""
    channels = np.arange(3)
    column = items[:, None, None, None, None]
    from_colour = uniform(0.66, 0.96, (seed, _KEY, 9), column, channels)
    to_colour = uniform(0.66, 0.96, (seed, _KEY, 10), column, channels)
    angle = uniform(0.0, 1.0, *number(11))
    slope = clip01(0.5 + 0.4 * (cosine(angle) * x + sine(angle) * y))[..., None]
    return from_colour + slope * (to_colour - from_colour)


def _paint(seed, items):
    """Return one strong colour an item, shape `(n, 1, 1, 1, 3)`."""
    # Round the colour wheel: each channel is a third of a turn behind the one before.
    hue = uniform(0.0, 1.0, (seed, _KEY, 12), items)[:, None, None, None, None]
    return 0.47 + 0.33 * cosine(hue + np.arange(3) / 3.0)


def _grain(seed, items):
    """Return noise of ±2 steps of 255, shape `(n, 8, 32, 32)`."""
    bits = random_bits((seed, _KEY, 13), items[:, None], np.arange(FRAMES * SIZE * SIZE // 16))
    nibbles = bits[..., None] >> (np.arange(16, dtype=np.uint64) * np.uint64(4)) & np.uint64(15)
    noise = (nibbles.astype(np.float64) - 7.5) * (0.25 / 255.0)
    return noise.reshape(-1, FRAMES, SIZE, SIZE)


@functools.cache
def _fields():
    """Return the fields of five shapes and of the mark that all carry, shape `(6, 96, 96)`."""
    cross = union(
        polygon_field(box(-0.95, -0.38, 0.95, 0.38)), polygon_field(box(-0.38, -0.95, 0.38, 0.95))
    )
    drawn = [
        polygon_field(ellipse(0.0, 0.0, 1.0, 1.0)),
        rounded(polygon_field(box(-0.72, -0.72, 0.72, 0.72)), 0.10),
        rounded(polygon_field(star(3, 1.15, 0.575)), 0.08),
        rounded(polygon_field(star(5, 1.12, 0.55)), 0.08),
        rounded(cross, 0.05),
        # Off the centre, so that a turning disc can be seen to turn.
        polygon_field(ellipse(0.0, -0.52, 0.26, 0.26)),
    ]
    return np.stack(drawn)
