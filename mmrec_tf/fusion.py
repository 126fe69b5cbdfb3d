"""Join the vectors of several modalities into one, whichever of them are there.

Every layer here takes two dicts with a modality's name as key: its vectors, shape `(batch, dim)`,
and whether each item has it, bool of shape `(batch,)`. What stands in the row of an absent
modality plays no part: neither a score nor a gradient depends on it.
"""

import keras
from keras import ops

from mmrec_tf._draws import uniform

__all__ = ["AttentionFusion", "ConcatFusion", "GatedFusion", "LateFusion", "ModalityDropout"]


class _Fusion(keras.layers.Layer):
    """What the fusions share: a projection and a learned absent vector for each modality."""

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"Expected `dim` of at least 1. Received: {dim}.")
        self.dim = dim

    def build(self, vectors_shape, present_shape=None):
        self.names = sorted(vectors_shape)
        if not self.names:
            raise ValueError("Expected at least one modality. Received: none.")
        self.projections = {
            name: self._dense(self.dim, name=f"project_{name}") for name in self.names
        }
        for name, projection in self.projections.items():
            projection.build(vectors_shape[name])
        # A zero vector has no direction, and its normalisation an unbounded gradient.
        self.absent = {
            name: self.add_weight(
                shape=(self.dim,), initializer="glorot_uniform", name=f"no_{name}"
            )
            for name in self.names
        }

    def _dense(self, units, **kwargs):
        # What is created while building does not inherit the precision by itself.
        return keras.layers.Dense(units, dtype=self.dtype_policy, **kwargs)

    def _project(self, vectors, present):
        """Return a tensor of shape (batch, modalities, dim), absent vectors filled in."""
        if set(vectors) != set(self.names) or set(present) != set(self.names):
            raise ValueError(
                f"Expected vectors and presence of {self.names}. "
                f"Received: {sorted(vectors)} and {sorted(present)}."
            )
        rows = []
        for name in self.names:
            here = ops.cast(present[name], "bool")[:, None]
            # Zeros first: a NaN in an absent row would survive a product with zero.
            clean = ops.where(here, vectors[name], ops.zeros_like(vectors[name]))
            rows.append(ops.where(here, self.projections[name](clean), self.absent[name]))
        return ops.stack(rows, axis=1)

    def compute_output_shape(self, vectors_shape, present_shape=None):
        first = next(iter(vectors_shape.values()))
        return (first[0], self.dim)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}


@keras.saving.register_keras_serializable("mmrec_tf")
class ConcatFusion(_Fusion):
    """Concatenate the modalities' vectors and map them to one by a dense layer.

    A sum of one function a modality, as late fusion is, but not a linear one: modalities meet
    only in a nonlinearity after it.

    Args:
        dim: length of the vectors, of each modality's projection and of the result.

    Call arguments:
        vectors: dict from a modality's name to a tensor of shape `(batch, its dim)`.
        present: dict from the same names to bool tensors of shape `(batch,)`.

    Returns:
        Tensor of shape `(batch, dim)`.
    """

    def build(self, vectors_shape, present_shape=None):
        super().build(vectors_shape)
        self.out = self._dense(self.dim, name="out")
        self.out.build((None, len(self.names) * self.dim))

    def call(self, vectors, present):
        rows = ops.relu(self._project(vectors, present))
        return self.out(ops.reshape(rows, (-1, len(self.names) * self.dim)))


@keras.saving.register_keras_serializable("mmrec_tf")
class GatedFusion(_Fusion):
    """Add the modalities' vectors, each multiplied by gates that all of them decide.

    Args:
        dim: length of the vectors, of each modality's projection and of the result.

    Call arguments:
        vectors: dict from a modality's name to a tensor of shape `(batch, its dim)`.
        present: dict from the same names to bool tensors of shape `(batch,)`.

    Returns:
        Tensor of shape `(batch, dim)`.

    References:
        J. Arevalo, T. Solorio, M. Montes-y-Gómez, F. A. González: Gated multimodal units for
        information fusion. 2017, arXiv:1702.01992
    """

    def build(self, vectors_shape, present_shape=None):
        super().build(vectors_shape)
        self.gate = self._dense(len(self.names) * self.dim, activation="sigmoid", name="gate")
        self.gate.build((None, len(self.names) * self.dim))

    def call(self, vectors, present):
        rows = self._project(vectors, present)
        size = (-1, len(self.names), self.dim)
        gates = ops.reshape(self.gate(ops.reshape(rows, (-1, size[1] * size[2]))), size)
        return ops.sum(gates * rows, axis=1)


@keras.saving.register_keras_serializable("mmrec_tf")
class AttentionFusion(_Fusion):
    """Average the vectors of the modalities that are there, weighed by how much each says.

    The weights are a softmax over the present modalities of a learned query's dot products; an
    item without any modality gets the mean of the absent vectors.

    Args:
        dim: length of the vectors, of each modality's projection and of the result.

    Call arguments:
        vectors: dict from a modality's name to a tensor of shape `(batch, its dim)`.
        present: dict from the same names to bool tensors of shape `(batch,)`.

    Returns:
        Tensor of shape `(batch, dim)`.

    References:
        D. Bahdanau, K. Cho, Y. Bengio: Neural machine translation by jointly learning to align
        and translate. 2014, arXiv:1409.0473
    """

    def build(self, vectors_shape, present_shape=None):
        super().build(vectors_shape)
        self.key = self._dense(self.dim, activation="tanh", name="key")
        self.key.build((None, len(self.names), self.dim))
        self.query = self.add_weight(shape=(self.dim,), initializer="glorot_uniform", name="query")

    def call(self, vectors, present):
        rows = self._project(vectors, present)
        weights = self._attention(rows, present)
        return ops.sum(ops.cast(weights, rows.dtype)[..., None] * rows, axis=1)

    def attention(self, vectors, present):
        """Return how much each modality counts, shape `(batch, modalities)`, in order of name."""
        return self._attention(self._project(vectors, present), present)

    def _attention(self, rows, present):
        here = ops.stack([ops.cast(present[name], "bool") for name in self.names], axis=1)
        here = ops.logical_or(here, ops.logical_not(ops.any(here, axis=1, keepdims=True)))
        # In float32: far below every score, and still finite.
        scores = ops.cast(ops.sum(self.key(rows) * self.query, axis=-1), "float32")
        return ops.softmax(ops.where(here, scores, -1e9), axis=-1)


@keras.saving.register_keras_serializable("mmrec_tf")
class LateFusion(_Fusion):
    r"""Add the modalities' vectors, so that an item's score is the sum of theirs.

    .. math:: q \cdot \sum_m W_m x_m = \sum_m q \cdot W_m x_m

    Each modality is scored by itself and the scores are added, late; none changes what another
    one says. Linear, so few weights are learned, which few data can tell.

    Args:
        dim: length of the vectors, of each modality's projection and of the result.

    Call arguments:
        vectors: dict from a modality's name to a tensor of shape `(batch, its dim)`.
        present: dict from the same names to bool tensors of shape `(batch,)`.

    Returns:
        Tensor of shape `(batch, dim)`.

    References:
        C. Snoek, M. Worring, A. Smeulders: Early versus late fusion in semantic video analysis.
        ACM Multimedia 2005, https://doi.org/10.1145/1101149.1101236
    """

    def call(self, vectors, present):
        return ops.sum(self._project(vectors, present), axis=1)


@keras.saving.register_keras_serializable("mmrec_tf")
class ModalityDropout(keras.layers.Layer):
    """Pretend while training that modalities are absent, each item's each at random.

    A model that never misses a modality in training does not know what to do without it. Of an
    item's modalities at least one stays, if it has any.

    Args:
        rate: probability of dropping a modality, in [0, 1).
        seed: int, or None for another one in every run.

    Call arguments:
        present: dict from a modality's name to a bool tensor of shape `(batch,)`.
        training: bool; nothing is dropped unless True.

    Returns:
        Dict like `present`.

    References:
        N. Neverova, C. Wolf, G. Taylor, F. Nebout: ModDrop: adaptive multi-modal gesture
        recognition. 2014, arXiv:1501.00102
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"Expected `rate` in [0, 1). Received: {rate}.")
        self.rate, self.seed = rate, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, present, training=False):
        if not training or self.rate == 0:
            return present
        names = sorted(present)
        here = ops.stack([ops.cast(present[name], "bool") for name in names], axis=1)
        draws = uniform(ops.shape(here), self.seed_generator)
        draws = ops.where(here, draws, -1.0)
        # The largest draw of a row stays, whatever it is.
        stays = ops.logical_or(draws >= self.rate, draws == ops.max(draws, axis=1, keepdims=True))
        kept = ops.logical_and(here, stays)
        return {name: kept[:, i] for i, name in enumerate(names)}

    def compute_output_shape(self, present_shape):
        return present_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
