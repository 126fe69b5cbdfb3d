"""Random numbers inside layers."""

import keras


def uniform(shape, seed_generator):
    """Return random numbers in [0, 1), as `keras.random.uniform` does.

    With TensorFlow by the Philox generator: what Keras leaves to XLA to choose takes 20 times as
    long on a CPU, longer than all else that two towers do in a step.

    Args:
        shape: ints, or an int tensor of shape `(rank,)`.
        seed_generator: `keras.random.SeedGenerator`, whose state moves on.
    """
    if keras.backend.backend() != "tensorflow":
        return keras.random.uniform(shape, seed=seed_generator)
    import tensorflow as tf

    seed = keras.ops.cast(seed_generator.next(), "int32")
    return tf.random.stateless_uniform(shape, seed, alg="philox")
