"""Pictures of generated items: a patterned thing on a table in front of a wall."""

import functools

import numpy as np

from mmrec_tf._random import random_bits
from mmrec_tf.datasets.catalog.arithmetic import (
    choice,
    clip01,
    cosine,
    normal,
    sine,
    to_uint8,
    uniform,
)
from mmrec_tf.datasets.catalog.shapes import (
    box,
    curve,
    ellipse,
    look_up,
    polygon_field,
    rounded,
    turned,
    union,
    without,
)

SIZE = 64
SILHOUETTES = (
    "lamp", "clock", "bowl", "vase", "box", "stool", "basket", "jar", "lantern", "jug",
)  # fmt: skip

# One colour a value of the attribute "colour", red first; in red, green and blue from 0 to 1.
COLOURS = np.array(
    [
        (0.80, 0.25, 0.23),
        (0.91, 0.52, 0.22),
        (0.91, 0.76, 0.29),
        (0.38, 0.63, 0.33),
        (0.17, 0.60, 0.58),
        (0.25, 0.42, 0.74),
        (0.52, 0.36, 0.70),
        (0.89, 0.47, 0.64),
    ]
)
# Walls are pale and nearly grey, so that the colour of the thing stands out.
_WALLS = np.array(
    [
        (0.93, 0.91, 0.87),
        (0.87, 0.90, 0.92),
        (0.90, 0.92, 0.87),
        (0.93, 0.89, 0.90),
        (0.88, 0.87, 0.92),
        (0.86, 0.91, 0.89),
    ]
)
_TABLES = np.array(
    [
        (0.80, 0.74, 0.67),
        (0.72, 0.73, 0.75),
        (0.86, 0.84, 0.80),
        (0.70, 0.66, 0.62),
    ]
)
_TRIM = np.array([(0.87, 0.83, 0.75), (0.30, 0.27, 0.26), (0.66, 0.60, 0.53)])

_KEY = 21


def render_images(seed, items, colour, pattern, silhouette):
    """Draw one picture an item.

    Place, size, tilt, light, wall, table and the exact shade vary from item to item and mean
    nothing.

    Args:
        seed: the shop's seed.
        items: int array of shape `(n,)`.
        colour: int array of shape `(n,)`, positions in `COLOURS`.
        pattern: int array of shape `(n,)`: plain, stripes, dots, checks, zigzag, grid.
        silhouette: int array of shape `(n,)`, positions in `SILHOUETTES`.

    Returns:
        uint8 array of shape `(n, 64, 64, 3)`.

    Example:

    >>> red, dots, bowl = np.array([0]), np.array([2]), np.array([2])
    >>> render_images(0, np.array([7]), red, dots, bowl).shape
    (1, 64, 64, 3)
    """

    def number(which):  # One number an item, shaped to broadcast over its pixels.
        return (seed, _KEY, which), items[:, None, None]

    line = (np.arange(SIZE) + 0.5) * (2.0 / SIZE) - 1.0
    x, y = line[None, None, :], line[None, :, None]

    # Where the thing stands, and the points of the picture as seen from it.
    scale = uniform(0.56, 0.70, *number(0))
    centre_x, centre_y = uniform(-0.14, 0.14, *number(1)), uniform(-0.10, 0.06, *number(2))
    tilt = uniform(-0.012, 0.012, *number(3))
    right, down = (x - centre_x) / scale, (y - centre_y) / scale
    u = cosine(tilt) * right + sine(tilt) * down
    v = cosine(tilt) * down - sine(tilt) * right
    pixels = scale * (SIZE / 2.0)  # pixels a unit of u and v
    fields = _fields()
    which = silhouette[:, None, None]
    body = look_up(fields[0], which, u, v)
    body_cover = clip01(0.5 - body * pixels)
    trim_cover = clip01(0.5 - look_up(fields[1], which, u, v) * pixels)

    picture = _background(number, x, y, centre_y + scale)
    ground = (v - 1.0) * 5.0
    shade_x = u * 0.85 - 0.12
    shadow = clip01(1.0 - shade_x * shade_x - ground * ground)
    picture *= (1.0 - 0.34 * shadow * shadow)[..., None]

    # Light from the upper left: a slope across the thing, a darker rim, a soft highlight.
    rim = clip01(1.0 + body * 5.0)
    spot_x, spot_y = (u + 0.30) * 1.7, (v + 0.40) * 1.3
    spot = clip01(1.0 - spot_x * spot_x - spot_y * spot_y)
    light = 1.04 - 0.13 * u - 0.05 * v - 0.16 * rim * rim + 0.12 * spot * spot

    base, second = _paints(seed, items, colour)
    figure = _pattern(number, pattern, u, v, pixels)[..., None]
    paint = base + (second - base) * figure
    picture += body_cover[..., None] * (paint * light[..., None] - picture)
    trim = _TRIM[choice(len(_TRIM), *number(4))]
    picture += trim_cover[..., None] * (trim * (0.5 + 0.5 * light)[..., None] - picture)

    # The camera: exposure, a tint of the light, and grain of whole steps of brightness.
    exposure = uniform(0.92, 1.06, *number(5))[..., None]
    tint = 1.0 + 0.02 * normal((seed, _KEY, 6), items[:, None, None, None], np.arange(3))
    return to_uint8(picture * (exposure * tint) + _grain(seed, items)[..., None])


def _background(number, x, y, horizon):
    """Return wall and table, shape `(n, 64, 64, 3)`; the table's edge lies above `horizon`."""
    wall = _WALLS[choice(len(_WALLS), *number(7))] * uniform(0.90, 1.03, *number(8))[..., None]
    table = _TABLES[choice(len(_TABLES), *number(9))]
    edge = horizon - uniform(0.12, 0.34, *number(10))
    below = clip01((y - edge) * (SIZE / 4.0))[..., None]
    # A lit patch on the wall, and on wall and table a faint weave of any angle and width.
    glow_x, glow_y = x - uniform(-0.6, 0.6, *number(11)), y + uniform(0.1, 0.7, *number(12))
    glow = clip01(1.0 - 0.5 * (glow_x * glow_x + glow_y * glow_y))
    angle, width = uniform(0.0, 1.0, *number(13)), uniform(1.5, 6.0, *number(14))
    weave = sine((cosine(angle) * x + sine(angle) * y) * width)
    strength = uniform(0.0, 0.025, *number(15))
    shade = 0.93 + 0.09 * glow * glow + strength * weave
    return (wall + below * (table - wall)) * shade[..., None]


def _paints(seed, items, colour):
    """Return two paints of each item's colour, shape `(n, 1, 1, 3)`, the second for patterns."""

    def number(low, high, which):
        return uniform(low, high, (seed, _KEY, which), items)[:, None]

    base = COLOURS[colour]
    neighbour = COLOURS[(colour + 1 + (len(COLOURS) - 2) * choice(2, (seed, _KEY, 16), items)) % 8]
    base = base + number(0.0, 0.12, 17) * (neighbour - base)
    lightness = number(-0.12, 0.14, 18)
    target = np.where(lightness > 0, 1.0, 0.0)
    base = base + np.abs(lightness) * (target - base)
    # Patterns are painted in cream or in a deep shade of the same colour.
    cream = np.array([0.97, 0.95, 0.90])
    light = cream + number(0.0, 0.22, 19) * (base - cream)
    deep = base * number(0.42, 0.55, 20)
    second = np.where(choice(2, (seed, _KEY, 21), items)[:, None] == 0, light, deep)
    return base[:, None, None, :], second[:, None, None, :]


def _pattern(number, pattern, u, v, pixels):
    """Return how much of the second paint lies on each point, in [0, 1]."""
    period = uniform(0.34, 0.50, *number(22))
    angle = uniform(-0.06, 0.06, *number(23))
    quarter = 0.25 * choice(2, *number(24))  # stripes may stand or lie
    shift_a, shift_b = uniform(0.0, 1.0, *number(25)), uniform(0.0, 1.0, *number(26))
    a = (cosine(angle + quarter) * u + sine(angle + quarter) * v) / period + shift_a
    b = (cosine(angle + quarter) * v - sine(angle + quarter) * u) / period + shift_b
    to_pixels = period * pixels
    wave_a, wave_b = _triangle(a), _triangle(b)  # from -0.25 to 0.25, in periods
    stripes = clip01(0.5 + wave_a * to_pixels)
    across = clip01(0.5 + wave_b * to_pixels)
    checks = stripes + across - 2.0 * stripes * across
    dot_a, dot_b = a - np.floor(a) - 0.5, b - np.floor(b) - 0.5
    dots = clip01(0.5 + (0.27 - np.sqrt(dot_a * dot_a + dot_b * dot_b)) * to_pixels)
    zigzag = clip01(0.5 + _triangle(a + 1.1 * wave_b) * (0.7 * to_pixels))
    thin = np.maximum(wave_a, wave_b) - 0.15
    grid = clip01(0.5 + thin * to_pixels)
    kinds = [np.zeros_like(stripes), stripes, dots, checks, zigzag, grid]
    return np.select([pattern[:, None, None] == code for code in range(len(kinds))], kinds)


def _triangle(x):
    """Return a wave of straight lines with period 1, from -0.25 to 0.25."""
    return np.abs(x - np.floor(x) - 0.5) - 0.25


def _grain(seed, items):
    """Return noise of ±3 steps of 255, shape `(n, 64, 64)`."""
    bits = random_bits((seed, _KEY, 27), items[:, None], np.arange(SIZE * SIZE // 16))
    nibbles = bits[..., None] >> (np.arange(16, dtype=np.uint64) * np.uint64(4)) & np.uint64(15)
    return (nibbles.astype(np.float64).reshape(-1, SIZE, SIZE) - 7.5) * (0.4 / 255.0)


@functools.cache
def _fields():
    """Return the fields of bodies and of their trim, two arrays of shape `(10, 96, 96)`."""

    def body(profile):
        return polygon_field(turned(profile))

    def ring(outline, width):
        return np.abs(outline) - width

    handle = [(-0.62, -0.42), (-0.45, -0.86), (0.0, -1.02), (0.45, -0.86), (0.62, -0.42)]
    bow = polygon_field([*curve(handle), (0.60, -0.42), (-0.60, -0.42)])
    arch = without(ring(bow, 0.045), polygon_field(box(-1.4, -0.45, 1.4, 1.4)))
    shade = rounded(
        polygon_field([(-0.34, -0.94), (0.34, -0.94), (0.74, 0.06), (-0.74, 0.06)]), 0.05
    )
    foot = rounded(polygon_field(ellipse(0.0, 0.95, 0.36, 0.05)), 0.02)
    stem = polygon_field(box(-0.05, 0.08, 0.05, 0.95))
    dial = polygon_field(ellipse(0.0, 0.08, 0.86, 0.86, n=64))
    hands = union(
        rounded(polygon_field(curve([(0.0, 0.08), (0.02, -0.48), (-0.02, -0.48)])), 0.035),
        rounded(polygon_field([(0.0, 0.08), (0.36, 0.22), (0.35, 0.24)]), 0.045),
        polygon_field(ellipse(0.0, 0.08, 0.09, 0.09)),
    )
    feet = union(
        rounded(polygon_field([(-0.55, 0.80), (-0.68, 0.98), (-0.64, 0.98)]), 0.03),
        rounded(polygon_field([(0.55, 0.80), (0.68, 0.98), (0.64, 0.98)]), 0.03),
    )
    leg = [(0.52, -0.20), (0.74, 0.96), (0.70, 0.96), (0.42, -0.20)]
    legs = union(
        rounded(polygon_field(leg), 0.02),
        rounded(polygon_field([(-x, y) for x, y in leg]), 0.02),
        polygon_field(box(-0.60, 0.40, 0.60, 0.48)),
    )
    seat = rounded(polygon_field(box(-0.70, -0.78, 0.70, -0.28)), 0.12)
    chest = rounded(polygon_field(box(-0.76, -0.42, 0.76, 0.90)), 0.08)
    lid = union(
        rounded(polygon_field(box(-0.82, -0.62, 0.82, -0.48)), 0.05),
        polygon_field(ellipse(0.0, -0.74, 0.13, 0.12)),
    )
    cover = union(
        rounded(polygon_field(box(-0.44, -0.80, 0.44, -0.68)), 0.05),
        polygon_field(ellipse(0.0, -0.90, 0.13, 0.11)),
    )
    cage = union(
        rounded(
            polygon_field([(-0.30, -0.72), (0.30, -0.72), (0.56, -0.52), (-0.56, -0.52)]), 0.03
        ),
        rounded(polygon_field(box(-0.60, 0.82, 0.60, 0.94)), 0.03),
        polygon_field(box(-0.03, -0.52, 0.03, 0.86)),
        ring(polygon_field(ellipse(0.0, -0.90, 0.15, 0.15)), 0.03),
    )
    grip = ring(polygon_field(ellipse(0.66, -0.05, 0.30, 0.40)), 0.06)
    jug = polygon_field(
        turned([(0.46, -0.92), (0.38, -0.55), (0.66, 0.10), (0.66, 0.62), (0.46, 0.98)])
    )
    spout = polygon_field(curve([(-0.30, -0.92), (-0.66, -0.94), (-0.50, -0.62), (-0.34, -0.40)]))
    drawn = {
        "lamp": (shade, union(stem, foot)),
        "clock": (dial, union(hands, feet, ring(dial + 0.10, 0.03))),
        "bowl": (
            body([(0.96, -0.30), (0.90, 0.20), (0.62, 0.70), (0.34, 0.84), (0.36, 0.98)]),
            rounded(polygon_field(ellipse(0.0, -0.30, 0.92, 0.07)), 0.02),
        ),
        "vase": (
            body(
                [
                    (0.34, -1.0),
                    (0.24, -0.72),
                    (0.34, -0.42),
                    (0.66, 0.12),
                    (0.60, 0.62),
                    (0.36, 0.99),
                ]
            ),
            rounded(polygon_field(ellipse(0.0, -0.99, 0.30, 0.03)), 0.02),
        ),
        "box": (chest, lid),
        "stool": (seat, without(legs, seat)),
        "basket": (
            body([(0.86, -0.42), (0.84, 0.10), (0.74, 0.60), (0.62, 0.97)]),
            union(arch, rounded(polygon_field(box(-0.84, -0.46, 0.84, -0.38)), 0.04)),
        ),
        "jar": (
            body([(0.40, -0.66), (0.62, -0.44), (0.70, 0.0), (0.68, 0.70), (0.58, 0.98)]),
            cover,
        ),
        "lantern": (
            polygon_field([(-0.52, -0.54), (0.52, -0.54), (0.52, 0.84), (-0.52, 0.84)]),
            cage,
        ),
        "jug": (union(jug, spout), without(grip, jug)),
    }
    pairs = [drawn[name] for name in SILHOUETTES]
    return tuple(np.stack(part) for part in zip(*pairs, strict=True))
