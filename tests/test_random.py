import numpy as np
import pytest
import scipy.stats

from mmrec_tf._random import random_bits, random_uniform


def test_same_numbers_everywhere():
    # SplitMix64 of key and counters, computed with Python's own integers.
    def mix(x):
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    def expected(*values):
        state = 0
        for value in values:
            state = mix((state + 0x9E3779B97F4A7C15 * (value + 1)) % 2**64)
        return state

    assert int(random_bits(0)) == expected(0)
    assert int(random_bits((7, 1), 2**40)) == expected(7, 1, 2**40)
    assert random_bits(3, np.arange(4)).tolist() == [expected(3, i) for i in range(4)]


def test_depends_on_key_and_counters_not_on_the_batch():
    table = random_bits((1, 2), np.arange(5)[:, None], np.arange(7, dtype="int32"))
    assert table.shape == (5, 7)
    assert len(np.unique(table)) == 35
    for i, j in [(0, 0), (3, 2), (4, 6)]:
        assert table[i, j] == random_bits((1, 2), i, j)
    assert random_bits((1, 3), 0, 0) != table[0, 0] != random_bits((1, 2), 0, 1)
    assert random_bits((1, 2), 1, 0) != random_bits((1, 2), 0, 1)


@pytest.mark.parametrize(
    "counters", [(np.arange(20_000),), (np.arange(200)[:, None], np.arange(100))]
)
def test_uniform(counters):
    values = random_uniform(5, *counters).ravel()
    assert values.min() >= 0
    assert values.max() < 1
    assert scipy.stats.kstest(values, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.02


def test_negative_numbers_are_refused():
    with pytest.raises(OverflowError):
        random_bits(-1)
