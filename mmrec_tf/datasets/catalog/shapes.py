"""Outlines as distance fields: what is drawn smoothly at any place, size and angle.

A distance field is a square table of signed distances to an outline, negative inside. Drawn pixel
by pixel as `0.5 - distance` pixels, cut off at 0 and 1, its edge is smooth.
"""

import functools

import numpy as np

from mmrec_tf.datasets.catalog.arithmetic import clip01, cosine, sine

REACH = 1.5  # a field covers [-REACH, REACH] both ways; outlines lie in about [-1, 1]
_SIZE = 96  # rows and columns of a field


def polygon_field(points):
    """Return the distance field of a closed polygon.

    Args:
        points: list of `(x, y)`, y downwards, in order round the polygon; it may not cross itself.

    Returns:
        float64 array of shape `(96, 96)`, negative inside.
    """
    line = (np.arange(_SIZE) + 0.5) * (2.0 * REACH / _SIZE) - REACH
    x, y = line[None, :], line[:, None]
    nearest = np.full((_SIZE, _SIZE), 1e9)
    inside = np.zeros((_SIZE, _SIZE), bool)
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        dx, dy = x1 - x0, y1 - y0
        length2 = dx * dx + dy * dy
        if length2 == 0:
            continue
        along = clip01(((x - x0) * dx + (y - y0) * dy) / length2)
        away_x, away_y = x - x0 - along * dx, y - y0 - along * dy
        nearest = np.minimum(nearest, away_x * away_x + away_y * away_y)
        if y0 != y1:  # A ray to the right crosses this edge: inside turns to outside and back.
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * (dx / dy))
    return np.where(inside, -np.sqrt(nearest), np.sqrt(nearest))


def curve(points, *, steps=6):
    """Return points on a smooth curve through `points` (a Catmull-Rom spline), ends included."""
    ends = [points[0], *points, points[-1]]
    smooth = []
    for a, b, c, d in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for step in range(steps):
            t = step / steps
            smooth.append(
                tuple(
                    q
                    + 0.5
                    * t
                    * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)))
                    for p, q, r, s in zip(a, b, c, d, strict=True)
                )
            )
    return [*smooth, points[-1]]


def turned(profile):
    """Return the polygon of a body turned on a lathe, from its right half, top to bottom."""
    right = curve(profile)
    return right + [(-x, y) for x, y in reversed(right)]


def ellipse(cx, cy, rx, ry, *, n=32):
    """Return the polygon of an ellipse."""
    turns = np.arange(n) / n
    xs, ys = cx + rx * cosine(turns), cy + ry * sine(turns)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def box(left, top, right, bottom):
    """Return the polygon of an upright rectangle."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def star(points, outer, inner):
    """Return the polygon of a star, or with equal radii a regular polygon, about the origin."""
    turns = np.arange(2 * points) / (2 * points) - 0.25
    radius = np.where(np.arange(2 * points) % 2 == 0, outer, inner)
    xs, ys = radius * cosine(turns), radius * sine(turns)
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def union(*fields):
    """Return the field of everything that lies in any of these fields."""
    return functools.reduce(np.minimum, fields)


def without(field, hole):
    """Return the field of what lies in `field` but not in `hole`."""
    return np.maximum(field, -hole)


def rounded(field, radius):
    """Return the field of an outline grown by `radius`, which rounds its corners."""
    return field - radius


def look_up(fields, which, x, y):
    """Read distances from fields at any points, between their samples too.

    Args:
        fields: array of shape `(n_fields, 96, 96)`.
        which: int array that broadcasts with `x`, which field to read.
        x: float array, place to the right; points outside [-REACH, REACH] read the border.
        y: float array of the same shape, place downwards.

    Returns:
        float64 array of the shape of `x`.
    """
    scale = _SIZE / (2.0 * REACH)
    top = _SIZE - 1.001
    column = np.minimum(np.maximum((x + REACH) * scale - 0.5, 0.0), top)
    row = np.minimum(np.maximum((y + REACH) * scale - 0.5, 0.0), top)
    left, upper = column.astype(np.int64), row.astype(np.int64)
    column -= left
    row -= upper
    flat = fields.reshape(-1)
    at = (which * _SIZE + upper) * _SIZE + left
    above = flat[at] + column * (flat[at + 1] - flat[at])
    at += _SIZE
    below = flat[at] + column * (flat[at + 1] - flat[at])
    return above + row * (below - above)
