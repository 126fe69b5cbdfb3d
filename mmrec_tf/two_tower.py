"""The two-tower model: one network for users, one for items, which meet in a dot product."""

import keras
import numpy as np
from keras import ops

from mmrec_tf._draws import uniform
from mmrec_tf.fusion import ModalityDropout
from mmrec_tf.losses import bpr_loss, softmax_loss

__all__ = ["CandidateTower", "QueryTower", "TwoTower"]

# What stands for "none": an item that a history does not have, or one without a learned vector.
_NONE = -1


@keras.saving.register_keras_serializable("mmrec_tf")
class QueryTower(keras.layers.Layer):
    r"""Turn what is known of users into vectors: their history, who they are, their features.

    .. math:: q_u = \sum_a w_{ua} \, e(i_{ua}) + v_u + W x_u, \qquad
        w_{ua} \propto 2^{-a / h} \, e^{k(e(i_{ua}))}

    where :math:`i_{ua}` is the item that the user chose :math:`a` items ago, :math:`e(i)` the
    vector that it has in histories, which is not the one that it has as a candidate, :math:`h` a
    learned half-life, and :math:`k` a learned attention score. Parts that are not asked for are
    zero.

    Args:
        n_items: number of items.
        dim: length of the vectors.
        n_users: number of users, if each is to have a vector :math:`v_u` of its own; such a
            tower does not know new users.
        attention: whether to weigh a history's items by a score of their vectors too.
        dropout: share of a history's items that are left out while training.
        half_life: :math:`h` to begin with, in items.
        normalize: whether to scale the vectors to length one.
        seed: int, or None for another start and dropout in every run.

    Call arguments:
        queries: dict of tensors: `history`, int of shape `(batch, length)`, the latest item first,
            -1 for no item; if `n_users` is given, `user`, int of shape `(batch,)`; perhaps
            `features`, float of shape `(batch, n_features)`, known of the users.
        content: None, or float tensor of shape `(n_items, n_columns)`, what is known of the
            items. Then :math:`e(i)` is the sum of a learned vector and a linear map of it.
        training: bool.

    Returns:
        Tensor of shape `(batch, dim)` if normalised, else `(batch, dim + 1)`: the last column, of
        ones, meets the candidates' bias.
    """

    def __init__(
        self,
        n_items,
        dim,
        *,
        n_users=None,
        attention=False,
        dropout=0.5,
        half_life=20.0,
        normalize=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(f"Expected `dropout` in [0, 1). Received: {dropout}.")
        if not half_life > 0:
            raise ValueError(f"Expected `half_life` to be positive. Received: {half_life}.")
        self.n_items, self.dim, self.n_users = n_items, dim, n_users
        self.attention, self.dropout, self.half_life = attention, dropout, half_life
        self.normalize, self.seed = normalize, seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def n_features(self):
        """Number of features of a user that a built tower takes."""
        from_features = getattr(self, "from_features", None)
        return 0 if from_features is None else from_features.kernel.shape[0]

    def build(self, queries_shape, content_shape=None):
        self.items = _vectors(self, self.n_items, self.dim, "items")
        # A logarithm keeps the half-life positive, whatever an optimizer does; that of a ratio,
        # so that weight decay draws it to where it began and not to 1.
        self.log_ratio = self.add_weight(shape=(), initializer="zeros", name="log_ratio")
        self.no_history = _vectors(self, 1, self.dim, "no_history")
        if content_shape is not None:
            self.from_content = _linear(self, self.dim, content_shape, "from_content")
        if "features" in queries_shape:
            self.from_features = _linear(self, self.dim, queries_shape["features"], "from_features")
        if self.attention:
            self.key = self.add_weight(shape=(self.dim,), initializer="zeros", name="key")
        if self.n_users is not None:
            self.users = _vectors(self, self.n_users, self.dim, "users")

    def call(self, queries, content=None, training=False):
        vectors = self._history(queries["history"], content, training)
        if self.n_users is not None:
            vectors = vectors + ops.take(self.users, queries["user"], axis=0)
        if "features" in queries:
            vectors = vectors + self.from_features(queries["features"])
        if self.normalize:
            return _unit(vectors)
        return ops.concatenate([vectors, ops.ones_like(vectors[:, :1])], axis=1)

    @property
    def learned_half_life(self):
        """The half-life as it is now, in items: a float32 tensor of shape `()`."""
        return self.half_life * ops.exp(ops.cast(self.log_ratio, "float32"))

    def _history(self, history, content, training):
        here = history >= 0
        if training and self.dropout:
            draws = uniform(ops.shape(history), self.seed_generator)
            here = ops.logical_and(here, draws >= self.dropout)
        items = ops.maximum(history, 0)
        rows = ops.take(self.items, items, axis=0)
        if content is not None:
            rows = rows + ops.take(self.from_content(content), items, axis=0)
        # The logarithms of the weights, in float32: far below all others where nothing counts.
        ages = ops.arange(ops.shape(history)[1], dtype="float32")
        logs = -np.log(2.0) * ages / self.learned_half_life
        if self.attention:
            logs = logs + ops.cast(ops.matmul(ops.tanh(rows), self.key), "float32")
        weights = ops.softmax(ops.where(here, logs, -1e9), axis=1)
        mean = ops.sum(ops.cast(weights, rows.dtype)[..., None] * rows, axis=1)
        # Not zeros, which have no direction.
        return ops.where(ops.any(here, axis=1, keepdims=True), mean, self.no_history)

    def compute_output_shape(self, queries_shape, content_shape=None):
        return (queries_shape["history"][0], self.dim + (not self.normalize))

    def get_config(self):
        return {
            **super().get_config(),
            "n_items": self.n_items,
            "dim": self.dim,
            "n_users": self.n_users,
            "attention": self.attention,
            "dropout": self.dropout,
            "half_life": self.half_life,
            "normalize": self.normalize,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("mmrec_tf")
class CandidateTower(keras.layers.Layer):
    r"""Turn items into vectors: one learned for each, plus what their content and features say.

    .. math:: c_i = v_i + f(\text{content}_i) + W y_i

    An item without a past has no :math:`v_i`: its content must do.

    Args:
        n_items: number of items.
        dim: length of the vectors.
        encoders: dict from a modality's name to the layer that encodes it; modalities that are
            vectors already need none.
        fusion: layer such as `GatedFusion(dim)`, which makes one vector, `dim` long, of those of
            the modalities; needed if there is content.
        modality_dropout: probability of taking a modality for absent while training. Without
            `id_dropout` too, an item's own vector stands in for what was dropped, and new items,
            which have none, are found less well.
        id_dropout: probability of leaving :math:`v_i` out while training, so that the content
            learns to stand for it.
        normalize: whether to scale the vectors to length one; they then have no bias.
        seed: int, or None for another start and dropout in every run.

    Call arguments:
        items: dict: `item`, int tensor of shape `(n,)`, -1 for an item without a vector of its
            own; perhaps `content`, a dict from a modality's name to its tensor of shape
            `(n, *shape)`, with `present`, a dict from the same names to bool tensors of shape
            `(n,)`; perhaps `features`, float tensor of shape `(n, n_features)`.
        training: bool.

    Returns:
        Tensor of shape `(n, dim)` if normalised, else `(n, dim + 1)`: the last column is a bias,
        how popular the item is with everybody.

    References:
        M. Volkovs, G. Yu, T. Poutanen: DropoutNet: addressing cold start in recommender systems.
        NeurIPS 2017, https://papers.nips.cc/paper/7081
    """

    def __init__(
        self,
        n_items,
        dim,
        *,
        encoders=None,
        fusion=None,
        modality_dropout=0.0,
        id_dropout=0.0,
        normalize=False,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 0 <= id_dropout <= 1:
            raise ValueError(f"Expected `id_dropout` in [0, 1]. Received: {id_dropout}.")
        if fusion is not None and fusion.dim != dim:
            raise ValueError(f"Expected `fusion` with dim={dim}. Received: dim={fusion.dim}.")
        self.n_items, self.dim = n_items, dim
        self.encoders, self.fusion = dict(encoders or {}), fusion
        self.id_dropout, self.normalize, self.seed = id_dropout, normalize, seed
        self.modality_dropout = ModalityDropout(modality_dropout, seed=seed)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, items_shape):
        self.items = _vectors(self, self.n_items, self.dim, "items")
        if not self.normalize:
            self.biases = _vectors(self, self.n_items, 1, "biases")
        content = dict(items_shape.get("content") or {})
        unknown = set(self.encoders) - set(content)
        if unknown or bool(content) != (self.fusion is not None):
            raise ValueError(
                "Expected content with a `fusion`, and all that has an encoder. "
                f"Received: content {sorted(content)}, encoders {sorted(self.encoders)}, "
                f"fusion {self.fusion}."
            )
        if content:
            for name, encoder in self.encoders.items():
                if not encoder.built:
                    encoder.build(content[name])
                content[name] = encoder.compute_output_shape(content[name])
            if not self.fusion.built:
                self.fusion.build(content)
            if not self.normalize:
                self.bias_from_content = _linear(self, 1, (None, self.dim), "bias_from_content")
        if "features" in items_shape:
            self.from_features = _linear(
                self, self.dim + (not self.normalize), items_shape["features"], "from_features"
            )

    def call(self, items, training=False):
        vectors = self._own(items["item"], training)
        if self.fusion is not None:
            vectors = vectors + self._from_content(items["content"], items["present"], training)
        if "features" in items:
            vectors = vectors + self.from_features(items["features"])
        return _unit(vectors) if self.normalize else vectors

    def _own(self, items, training):
        known = items >= 0
        if training and self.id_dropout:
            draws = uniform(ops.shape(items), self.seed_generator)
            known = ops.logical_and(known, draws >= self.id_dropout)
        rows = ops.maximum(items, 0)
        vectors = ops.take(self.items, rows, axis=0)
        if not self.normalize:
            vectors = ops.concatenate([vectors, ops.take(self.biases, rows, axis=0)], axis=1)
        return ops.where(known[:, None], vectors, ops.zeros_like(vectors))

    def _from_content(self, content, present, training):
        vectors = {
            name: self.encoders[name](values, training=training)
            if name in self.encoders
            else ops.cast(values, self.compute_dtype)
            for name, values in content.items()
        }
        fused = self.fusion(vectors, self.modality_dropout(present, training=training))
        if self.normalize:
            return fused
        return ops.concatenate([fused, self.bias_from_content(fused)], axis=1)

    def compute_output_shape(self, items_shape):
        return (items_shape["item"][0], self.dim + (not self.normalize))

    def get_config(self):
        return {
            **super().get_config(),
            "n_items": self.n_items,
            "dim": self.dim,
            "encoders": {
                name: keras.saving.serialize_keras_object(encoder)
                for name, encoder in self.encoders.items()
            },
            "fusion": self.fusion and keras.saving.serialize_keras_object(self.fusion),
            "modality_dropout": self.modality_dropout.rate,
            "id_dropout": self.id_dropout,
            "normalize": self.normalize,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        layers = keras.saving.deserialize_keras_object(
            {"encoders": config["encoders"], "fusion": config["fusion"]}
        )
        return cls(**{**config, **layers})


@keras.saving.register_keras_serializable("mmrec_tf")
class TwoTower(keras.Model):
    """Learn from what users chose next, and score all items for any history.

    `fit` and `evaluate` take batches as `next_items_data` gives them; `predict` returns the
    queries' vectors, `candidate_vectors` the items', and `scores` their dot products.

    The loss of a chosen item is, by default, `softmax_loss` against all items that anybody has
    chosen, but those that the same user has: neither the history nor what else the user chose is
    a negative. With `negatives="batch"` the other users' targets are the negatives, whose share
    does not grow with the number of items.

    Args:
        query_tower: `QueryTower`.
        candidate_tower: `CandidateTower`.
        counts: array of shape `(n_items,)`, how often each item is a target, or in proportion to
            it, such as `np.bincount(train["item"], minlength=n_items)`. An item with 0 is *cold*:
            it has no learned vector and is nobody's negative. In-batch negatives are corrected
            for how often they are drawn by the others.
        content: dict from a modality's name to an array of shape `(n_items, *shape)`; it becomes
            part of the model, and of the file that it is saved in.
        present: dict from the same names to bool arrays of shape `(n_items,)`; a modality that
            is left out is present in all items.
        features: array of shape `(n_items, n_features)`.
        history_content: names of modalities, all vectors, by which the query tower too knows the
            items of a history.
        negatives: `"all"` or `"batch"`.
        shared_targets: with `negatives="batch"`, number of each user's targets, the first, that
            are the other users' negatives; by default all. Fewer take less time.
        loss: `"softmax"`, or `"bpr"`: each target against one negative, drawn uniformly.
        temperature: positive number that scores are divided by in the loss.
        learn_temperature: whether to train it too.
        log_q: False leaves the correction of in-batch negatives out. At the optimum a model with
            biases then lacks log Q in its scores, and no more; see chapter 4.1.
        mask: False takes a user's history for negatives too and, with `negatives="batch"`, those
            of the user's targets that others have among theirs.
        hard_negatives: number of a query's negatives that are kept, those with the highest
            corrected scores; by default all.

    Raises:
        ValueError: if a shape or an option does not fit; the message names it.

    Example:

    >>> import pandas as pd
    >>> from mmrec_tf import Dataset
    >>> from mmrec_tf.sequences import histories, next_items_data
    >>> log = {"user_id": list("aaabbb"), "item_id": list("xyzzxy"), "timestamp": range(6)}
    >>> shop = Dataset.from_log("shop", pd.DataFrame(log))
    >>> counts = np.bincount(shop.interactions["item"], minlength=shop.n_items)
    >>> model = TwoTower(QueryTower(3, 8), CandidateTower(3, 8), counts=counts)
    >>> model.compile(keras.optimizers.AdamW(0.003))
    >>> data = next_items_data(
    ...     shop, shop.interactions, history_length=2, n_targets=1, batch_size=2
    ... )
    >>> losses = model.fit(data, epochs=2, verbose=0)
    >>> model.scores({"history": histories(shop, shop.interactions, length=2)}).shape
    (2, 3)

    References:
        X. Yi and others: Sampling-bias-corrected neural modeling for large corpus item
        recommendations. RecSys 2019, https://doi.org/10.1145/3298689.3346996
    """

    def __init__(
        self,
        query_tower,
        candidate_tower,
        *,
        counts,
        content=None,
        present=None,
        features=None,
        history_content=(),
        negatives="all",
        shared_targets=None,
        loss="softmax",
        temperature=1.0,
        learn_temperature=False,
        log_q=True,
        mask=True,
        hard_negatives=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if negatives not in ("all", "batch"):
            raise ValueError(f"Expected `negatives` 'all' or 'batch'. Received: {negatives!r}.")
        if shared_targets is not None and (negatives == "all" or shared_targets < 1):
            raise ValueError(
                "Expected `shared_targets` of at least 1, and with negatives='batch' only. "
                f"Received: {shared_targets} with negatives={negatives!r}."
            )
        if loss not in ("softmax", "bpr"):
            raise ValueError(f"Expected `loss` 'softmax' or 'bpr'. Received: {loss!r}.")
        if loss == "bpr" and hard_negatives is not None:
            raise ValueError("Expected `hard_negatives` with the softmax loss only.")
        if not temperature > 0:
            raise ValueError(f"Expected `temperature` to be positive. Received: {temperature}.")
        for option in ("n_items", "dim", "normalize"):
            theirs = getattr(query_tower, option), getattr(candidate_tower, option)
            if theirs[0] != theirs[1]:
                raise ValueError(
                    f"Expected towers with the same `{option}`. Received: {theirs[0]} in the "
                    f"query tower, {theirs[1]} in the candidate tower."
                )
        self.query_tower, self.candidate_tower = query_tower, candidate_tower
        self.n_items = candidate_tower.n_items
        self.negatives, self.shared_targets = negatives, shared_targets
        self.loss_name, self.temperature = loss, temperature
        self.learn_temperature, self.log_q, self.mask = learn_temperature, log_q, mask
        self.hard_negatives, self.history_content = hard_negatives, tuple(history_content)
        content = dict(content or {})
        present = {name: np.ones(self.n_items, bool) for name in content} | dict(present or {})
        self._check_names(content, present)
        self.counts = self._table("counts", np.asarray(counts, np.float32))
        self.content = {name: self._table(name, content[name]) for name in sorted(content)}
        self.present = {
            # Not bool, which Keras cannot save.
            name: self._table(f"has_{name}", np.asarray(present[name]).astype(np.uint8))
            for name in sorted(content)
        }
        self.features = None if features is None else self._table("features", features)
        # As the query tower's half-life.
        self.log_ratio = self.add_weight(
            shape=(), initializer="zeros", trainable=learn_temperature, name="log_ratio"
        )
        self.seed_generator = keras.random.SeedGenerator(candidate_tower.seed)

    def _table(self, name, values):
        values = np.asarray(values)
        if len(values) != self.n_items:
            raise ValueError(
                f"Expected `{name}` with {self.n_items} rows, one an item. Received: {len(values)}."
            )
        if values.dtype == np.float64:
            values = values.astype(np.float32)
        return self.add_weight(
            shape=values.shape,
            dtype=values.dtype.name,
            initializer=lambda shape, dtype: ops.convert_to_tensor(values, dtype),
            trainable=False,
            name=name,
        )

    def build(self, inputs_shape):
        # A loaded model's towers are built already.
        if not self.query_tower.built:
            content = self._history_table()
            self.query_tower.build(inputs_shape, None if content is None else content.shape)
        if not self.candidate_tower.built:
            items = self._item_inputs(np.arange(1))
            shapes = keras.tree.map_structure(lambda x: (None, *x.shape[1:]), items)
            self.candidate_tower.build(shapes)

    def call(self, inputs, training=False):
        return self.query_tower(inputs, self._history_table(), training=training)

    def _history_table(self):
        """Return what the query tower knows of all items, `(n_items, n_columns)`, or None."""
        if not self.history_content:
            return None
        columns = []
        for name in self.history_content:
            here = ops.cast(self.present[name], self.compute_dtype)[:, None]
            values = ops.cast(self.content[name], self.compute_dtype)
            columns.append(ops.where(here > 0, values, ops.zeros_like(values)))
        return ops.concatenate(columns, axis=1)

    def _item_inputs(self, items):
        """Return the candidate tower's inputs for an int tensor of items."""

        def rows(table):
            return ops.take(table, items, axis=0)

        inputs = {"item": ops.where(rows(self.counts) > 0, ops.cast(items, "int32"), _NONE)}
        if self.content:
            inputs["content"] = {name: rows(table) for name, table in self.content.items()}
            inputs["present"] = {name: rows(table) > 0 for name, table in self.present.items()}
        if self.features is not None:
            inputs["features"] = rows(self.features)
        return inputs

    @property
    def learned_temperature(self):
        """The temperature as it is now: a float32 tensor of shape `()`."""
        return self.temperature * ops.exp(ops.cast(self.log_ratio, "float32"))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean loss of a batch's targets; see the class."""
        targets = x["targets"]
        n_users, n_targets = ops.shape(targets)
        here = targets >= 0
        own = ops.concatenate([x["history"], targets], axis=1) if self.mask else targets
        queries = ops.cast(y_pred, "float32")  # Sums of products leave the range of float16.
        if self.negatives == "all":
            candidates = ops.arange(self.n_items, dtype="int32")
            vectors = self._vectors(candidates, training)
            scores = ops.matmul(queries, ops.transpose(vectors))
            positive = ops.take_along_axis(scores, ops.maximum(targets, 0), axis=1)
            excluded = ops.logical_or(self._is_own(own, candidates), self.counts[None] == 0)
            log_q = None
        else:
            vectors = self._vectors(ops.reshape(ops.maximum(targets, 0), (-1,)), training)
            vectors = ops.reshape(vectors, (n_users, n_targets, -1))
            positive = ops.einsum("bd,btd->bt", queries, vectors)
            n_shared = n_targets if self.shared_targets is None else self.shared_targets
            candidates = ops.reshape(targets[:, :n_shared], (-1,))
            vectors = ops.reshape(vectors[:, :n_shared], (n_users * n_shared, -1))
            scores = ops.matmul(queries, ops.transpose(vectors))
            if self.mask:
                excluded = self._is_own(own, candidates)
            else:
                drawn_by = ops.arange(n_users * n_shared, dtype="int32") // n_shared
                excluded = ops.arange(n_users, dtype="int32")[:, None] == drawn_by[None]
            excluded = ops.logical_or(excluded, candidates[None] < 0)
            log_q = self._log_q(candidates, n_users) if self.log_q else None
        temperature = self.learned_temperature
        weights = ops.cast(here, "float32")
        if sample_weight is not None:
            weights = weights * ops.cast(sample_weight, "float32")[:, None]
        if self.loss_name == "bpr":
            n = ops.shape(candidates)[0]
            draws = uniform(ops.shape(targets), self.seed_generator) * ops.cast(n, "float32")
            drawn = ops.minimum(ops.cast(draws, "int32"), n - 1)
            negative = ops.take_along_axis(scores, drawn, axis=1)
            pairs = (ops.reshape(x / temperature, (-1,)) for x in (positive, negative))
            losses = ops.reshape(bpr_loss(*pairs), ops.shape(targets))
            is_negative = ops.logical_not(ops.take_along_axis(excluded, drawn, axis=1))
            weights = weights * ops.cast(is_negative, "float32")
        else:
            losses = softmax_loss(
                positive,
                scores,
                temperature=temperature,
                log_q=log_q,
                mask=excluded,
                hard_negatives=self.hard_negatives,
            )
        return ops.sum(weights * losses) / ops.maximum(ops.sum(weights), 1.0)

    def _vectors(self, items, training):
        vectors = self.candidate_tower(self._item_inputs(items), training=training)
        return ops.cast(vectors, "float32")

    def _is_own(self, own, candidates):
        """Return whether each candidate is one of a row's own items, `(batch, candidates)`.

        Comparing every pair would cost the product of three sizes; a table that says in which
        column an item stands costs their sum, and the result itself.
        """
        n_users, n_columns = ops.shape(own)[0], ops.shape(candidates)[0]
        # What is none has a row of its own in the table; what stands in no column, a column.
        rows = ops.where(candidates >= 0, candidates, self.n_items)
        column_of = ops.scatter_update(
            ops.full((self.n_items + 1,), n_columns, dtype="int32"),
            rows[:, None],
            ops.arange(n_columns, dtype="int32"),
        )
        columns = ops.take(column_of, ops.where(own >= 0, own, self.n_items))
        users = ops.broadcast_to(ops.arange(n_users, dtype="int32")[:, None], ops.shape(own))
        places = ops.reshape(ops.stack([columns, users], axis=-1), (-1, 2))
        hits = ops.scatter(places, ops.ones_like(places[:, 0]), (n_columns + 1, n_users))
        # An item may stand in several columns, of which the table names one. Users come second
        # because whole rows are faster to collect.
        return ops.transpose(ops.take(hits, ops.take(column_of, rows), axis=0) > 0)

    def _log_q(self, candidates, n_users):
        """Return the logarithm of how often each candidate is expected among others' targets."""
        drawn = ops.cast(ops.sum(ops.cast(candidates >= 0, "int32")), "float32")
        others = drawn * (n_users - 1) / n_users
        share = ops.take(self.counts, ops.maximum(candidates, 0), axis=0) / ops.sum(self.counts)
        return ops.log(ops.maximum(others * share, 1e-9))

    def candidate_vectors(self, *, batch_size=1024):
        """Return the vectors of all items, a float32 array of shape `(n_items, width)`."""
        everything = np.arange(self.n_items, dtype=np.int32)
        return _in_batches(
            lambda items: self.candidate_tower(self._item_inputs(items), training=False),
            everything,
            batch_size,
        )

    def scores(self, queries, *, batch_size=1024):
        """Return the scores of all items for queries.

        Args:
            queries: dict of arrays, as `QueryTower` takes them.
            batch_size: queries, and items, that are computed at a time.

        Returns:
            float32 array of shape `(n_queries, n_items)`.
        """
        # Not `predict`, which would compile a function for every model that is asked once.
        vectors = _in_batches(lambda batch: self(batch, training=False), queries, batch_size)
        return vectors @ self.candidate_vectors(batch_size=batch_size).T

    def _random_states(self):
        return [v for v in self.variables if v.name == "seed_generator_state"]

    def save_own_variables(self, store):
        """Save the states of all random generators too: Keras forgets them, and resumes others."""
        super().save_own_variables(store)
        for number, state in enumerate(self._random_states()):
            store[f"random_{number}"] = state

    def load_own_variables(self, store):
        """Load what `save_own_variables` has saved."""
        names = [name for name in list(store.keys()) if not name.startswith("random_")]
        super().load_own_variables({name: store[name] for name in names})
        for number, state in enumerate(self._random_states()):
            state.assign(store[f"random_{number}"])

    def get_config(self):
        def specs(tables):
            return {name: [list(table.shape), table.dtype] for name, table in tables.items()}

        return {
            **super().get_config(),
            "query_tower": keras.saving.serialize_keras_object(self.query_tower),
            "candidate_tower": keras.saving.serialize_keras_object(self.candidate_tower),
            # The tables themselves are weights.
            "content": specs(self.content),
            "features": self.features is not None
            and specs({"features": self.features})["features"],
            "history_content": self.history_content,
            "negatives": self.negatives,
            "shared_targets": self.shared_targets,
            "loss": self.loss_name,
            "temperature": self.temperature,
            "learn_temperature": self.learn_temperature,
            "log_q": self.log_q,
            "mask": self.mask,
            "hard_negatives": self.hard_negatives,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        towers = [
            keras.saving.deserialize_keras_object(config.pop(name))
            for name in ("query_tower", "candidate_tower")
        ]
        content = {name: np.zeros(*spec) for name, spec in config.pop("content").items()}
        features = config.pop("features") or None
        return cls(
            *towers,
            counts=np.zeros(towers[1].n_items),
            content=content,
            features=features and np.zeros(*features),
            **config,
        )

    def _check_names(self, content, present):
        if set(present) != set(content):
            raise ValueError(
                "Expected `present` for what is in `content`. "
                f"Received: {sorted(present)} and {sorted(content)}."
            )
        unknown = set(self.history_content) - set(content)
        flat = [name for name in self.history_content if np.ndim(content.get(name)) == 2]
        if unknown or len(flat) < len(self.history_content):
            raise ValueError(
                "Expected `history_content` to name content that is vectors. "
                f"Received: {list(self.history_content)} of content {sorted(content)}."
            )


def _in_batches(function, inputs, batch_size):
    """Return the function's results for arrays, or a dict of them, as one float32 array."""
    size = len(keras.tree.flatten(inputs)[0])
    parts = []
    for start in range(0, size, batch_size):
        rows = slice(start, start + batch_size)
        part = keras.tree.map_structure(lambda values, rows=rows: values[rows], inputs)
        parts.append(ops.convert_to_numpy(function(part)).astype(np.float32))
    return np.concatenate(parts)


def _vectors(layer, n, dim, name):
    """Add a table of learned vectors to a layer."""
    # Another seed for each table: equal starts would make users and items look alike.
    seed = None if layer.seed is None else layer.seed + sum(map(ord, name))
    start = keras.initializers.RandomNormal(stddev=0.05, seed=seed)
    return layer.add_weight(shape=(n, dim), initializer=start, name=name)


def _linear(layer, dim, shape, name):
    """Return a linear map for a layer, in its precision, which is not inherited while building."""
    start = keras.initializers.GlorotUniform(seed=layer.seed)
    dense = keras.layers.Dense(
        dim, use_bias=False, kernel_initializer=start, name=name, dtype=layer.dtype_policy
    )
    dense.build(shape)
    return dense


def _unit(vectors):
    """Scale vectors to length one, in float32 since squares leave the range of float16."""
    wide = ops.cast(vectors, "float32")
    squares = ops.sum(ops.square(wide), axis=-1, keepdims=True)
    return ops.cast(wide * ops.rsqrt(ops.maximum(squares, 1e-12)), vectors.dtype)
