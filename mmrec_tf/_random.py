"""Random numbers that depend on a key and a counter alone.

NumPy may change the streams of its generators from one version to the next, and a stream's n-th
number needs the n - 1 before it. These functions hash instead: the same number for the same key
and counter on every machine, in any order and any batch. The hash is the finaliser of SplitMix64,
G. L. Steele, D. Lea, C. H. Flood: Fast splittable pseudorandom number generators. OOPSLA 2014,
https://doi.org/10.1145/2660193.2660195.
"""

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def random_bits(key, *counters):
    """Return 64 random bits for each counter.

    Args:
        key: a non-negative int, or a tuple of them: the seed, and what the numbers are for.
        *counters: ints or arrays of non-negative ints that broadcast together.

    Returns:
        uint64 array of the counters' common shape.
    """
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for value in (*np.atleast_1d(np.asarray(key, np.uint64)), *counters):
            state = _mix(state + _GAMMA * (np.asarray(value).astype(np.uint64) + np.uint64(1)))
    return state


def random_uniform(key, *counters):
    """Return a float64 in [0, 1), a multiple of 2**-53, for each counter; see `random_bits`."""
    return (random_bits(key, *counters) >> np.uint64(11)) * 2.0**-53


def _mix(bits):
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
