import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kstest

from mmrec_tf._draws import uniform


@pytest.mark.parametrize("jit", [False, True])
def test_numbers_are_uniform_and_new_each_time(jit):
    generator = keras.random.SeedGenerator(0)
    draw = tf.function(lambda: uniform((100, 100), generator), jit_compile=jit)
    first, second = draw().numpy().ravel(), draw().numpy().ravel()
    for numbers in (first, second):
        assert 0 <= numbers.min() < numbers.max() < 1
        assert kstest(numbers, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


@pytest.mark.parametrize("jit", [False, True])
def test_a_seed_gives_the_same_numbers(jit):
    draws = []
    for seed in (7, 7, 8):
        generator = keras.random.SeedGenerator(seed)
        draw = tf.function(lambda generator=generator: uniform((3, 4), generator), jit_compile=jit)
        draws.append(draw().numpy())
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
