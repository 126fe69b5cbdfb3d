"""Arithmetic with the same result, bit for bit, on every machine.

IEEE 754 fixes the results of +, -, ×, ÷ and square roots of float64, one at a time. It does not fix
`np.sin` or `np.exp`, nor the order of a sum, nor a product of matrices; the catalogue uses none
of them. What it needs beside the four operations is here.
"""

import numpy as np

from mmrec_tf._random import random_bits, random_uniform


def sine(turns):
    """Return the sine of an angle in turns, at most 3e-7 off; 0.25 turns give 1.

    Args:
        turns: float array of any shape.

    Returns:
        float64 array of the same shape.

    Example:

    >>> sine(np.array([0.0, 0.25, 0.5, 0.75])).round(5)
    array([ 0.,  1.,  0., -1.])
    """
    # One quarter wave is enough: fold the angle into [-0.25, 0.25] turns.
    folded = np.abs(turns - 0.25 - np.floor(turns - 0.25) - 0.5) - 0.25
    x = folded * folded
    # Taylor coefficients of sin(2 pi x) / x; the last one is fitted so that a quarter turn gives 1.
    return folded * (
        6.283185307179586
        + x
        * (
            -41.341702240399755
            + x * (81.60524927607504 + x * (-76.70585975306136 + x * 41.13002672980656))
        )
    )


def cosine(turns):
    """Return the cosine of an angle in turns; see `sine`."""
    return sine(turns + 0.25)


def normal(key, *counters):
    """Return a nearly normal float64 for each counter: mean 0, variance 1, within ±3.

    It is the sum of three uniform numbers of 16 bits; see `random_bits` for key and counters.
    """
    return normal_from_bits(random_bits(key, *counters))


def normal_from_bits(bits):
    """Return the number of `normal` made of the upper 48 of each 64 random bits."""
    low = np.uint64(0xFFFF)
    total = (bits >> np.uint64(48)) + (bits >> np.uint64(32) & low) + (bits >> np.uint64(16) & low)
    return (total.astype(np.int64) * 2 - 196_605) / 65_536.0


def uniform(low, high, key, *counters):
    """Return a float64 in [low, high) for each counter; see `random_uniform`."""
    return low + (high - low) * random_uniform(key, *counters)


def choice(n, key, *counters):
    """Return an int64 in [0, n) for each counter; see `random_bits`."""
    return (random_bits(key, *counters) % np.uint64(n)).astype(np.int64)


def clip01(values):
    """Return the values, none below 0 and none above 1."""
    return np.minimum(np.maximum(values, 0.0), 1.0)


def to_uint8(values):
    """Return values in [0, 1] as whole numbers from 0 to 255, rounded half up."""
    return np.floor(clip01(values) * 255.0 + 0.5).astype(np.uint8)
