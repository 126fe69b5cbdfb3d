import os
import signal
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from scipy.special import logsumexp

from mmrec_tf import Dataset
from mmrec_tf.fusion import AttentionFusion, ConcatFusion, GatedFusion, LateFusion
from mmrec_tf.sequences import histories, next_items_data
from mmrec_tf.two_tower import CandidateTower, QueryTower, TwoTower

N_ITEMS, N_USERS, DIM = 12, 6, 4
RNG = np.random.default_rng(0)
COUNTS = np.array([5, 4, 4, 3, 3, 2, 2, 2, 1, 1, 0, 0])
CONTENT = {
    "text": RNG.normal(size=(N_ITEMS, 5)).astype("float32"),
    "image": RNG.integers(0, 256, (N_ITEMS, 3)).astype("uint8"),
}
PRESENT = {"image": np.arange(N_ITEMS) % 3 > 0}
FEATURES = RNG.normal(size=(N_ITEMS, 2)).astype("float32")
BATCH = {
    "user": np.array([0, 1, 2], np.int32),
    "history": np.array([[1, 2, -1], [0, -1, -1], [-1, -1, -1]], np.int32),
    "targets": np.array([[3, 4], [5, -1], [3, 0]], np.int32),
}


@keras.saving.register_keras_serializable("tests")
class Pixels(keras.layers.Layer):
    """An encoder with weights, of pixels that must arrive as integers."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

    def call(self, pixels, training=False):
        assert keras.backend.standardize_dtype(pixels.dtype) == "uint8"
        return keras.ops.matmul(keras.ops.cast(pixels, self.compute_dtype) / 255, self.kernel)

    def compute_output_shape(self, shape):
        return (shape[0], 3)


def plain(*, normalize=False, tower_options=None, **options):
    """A model of ids alone."""
    query = QueryTower(N_ITEMS, DIM, seed=1, normalize=normalize, **(tower_options or {}))
    candidate = CandidateTower(N_ITEMS, DIM, seed=2, normalize=normalize)
    model = TwoTower(query, candidate, counts=COUNTS, **options)
    model(BATCH)
    return model


def full(*, fusion=GatedFusion, query_options=None, candidate_options=None, **options):
    """A model with everything."""
    query = QueryTower(
        N_ITEMS, DIM, n_users=N_USERS, attention=True, seed=1, **(query_options or {})
    )
    candidate = CandidateTower(
        N_ITEMS,
        DIM,
        encoders={"image": Pixels()},
        fusion=fusion(DIM),
        modality_dropout=0.3,
        id_dropout=0.3,
        seed=2,
        **(candidate_options or {}),
    )
    return TwoTower(
        query,
        candidate,
        counts=COUNTS,
        content=CONTENT,
        present=PRESENT,
        features=FEATURES,
        history_content=("text",),
        **options,
    )


def batch_with_features():
    return {**BATCH, "features": np.ones((3, 2), "float32") * [[1], [2], [3]]}


def shop(n_users=40, n_items=N_ITEMS, length=9):
    """A shop where each user goes round a circle of items: what comes next can be known."""
    rows = [
        (f"u{user:02}", f"i{(user + step) % n_items:02}", step)
        for user in range(n_users)
        for step in range(length)
    ]
    return Dataset.from_log("shop", pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))


def stream(dataset, **options):
    arguments = {"history_length": 4, "n_targets": 2, "batch_size": 8, "passes": 4} | options
    return next_items_data(dataset, dataset.interactions, **arguments)


def ring_model(dataset, seed=0, **options):
    keras.utils.set_random_seed(seed)
    n = dataset.n_items
    counts = np.bincount(dataset.interactions["item"], minlength=n)
    query = QueryTower(n, 8, dropout=0.2, half_life=2.0, seed=seed)
    model = TwoTower(query, CandidateTower(n, 8, seed=seed), counts=counts, **options)
    model({"history": np.zeros((1, 4), np.int32)})
    return model


# --- The query tower ---------------------------------------------------------------------------


def test_query_is_the_mean_of_the_history_weighed_by_recency():
    tower = QueryTower(N_ITEMS, DIM, half_life=2.0)
    out = np.array(tower({"history": BATCH["history"]}))
    table = np.array(tower.items)
    weights = np.array([1, 2**-0.5])
    expected = (weights[:, None] * table[[1, 2]]).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(out[0, :DIM], expected, rtol=1e-5)
    np.testing.assert_allclose(out[1, :DIM], table[0], rtol=1e-5)
    np.testing.assert_array_equal(out[:, DIM], 1)


def test_an_empty_history_has_a_vector_that_is_learned():
    tower = QueryTower(N_ITEMS, DIM, normalize=True)
    with tf.GradientTape() as tape:
        out = tower({"history": BATCH["history"]})
        loss = tf.reduce_sum(out * np.arange(DIM, dtype="float32"))
    gradients = tape.gradient(loss, [w.value for w in tower.trainable_weights])
    for gradient in gradients:
        dense = tf.convert_to_tensor(gradient).numpy()
        assert np.isfinite(dense).all()
        # Normalising zeros would give 1e7 and more.
        assert np.abs(dense).max() < 1e3
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1, rtol=1e-5)


def test_weight_decay_draws_half_life_and_temperature_to_where_they_began():
    model = TwoTower(
        QueryTower(N_ITEMS, DIM, half_life=20.0),
        CandidateTower(N_ITEMS, DIM),
        counts=np.ones(N_ITEMS),
        temperature=0.1,
        learn_temperature=True,
    )
    model({"history": BATCH["history"]})
    learned = (model.log_ratio, model.query_tower.log_ratio)
    optimizer = keras.optimizers.AdamW(0.1, weight_decay=1.0)
    optimizer.build(learned)
    for weight in learned:
        weight.assign(1.0)
    assert model.query_tower.learned_half_life > 50
    assert model.learned_temperature > 0.25
    for _ in range(200):
        optimizer.apply([tf.constant(0.0), tf.constant(0.0)])
    np.testing.assert_allclose(model.query_tower.learned_half_life, 20.0, rtol=1e-4)
    np.testing.assert_allclose(model.learned_temperature, 0.1, rtol=1e-4)


def test_attention_prefers_what_its_key_says():
    tower = QueryTower(N_ITEMS, DIM, attention=True, half_life=1e6)
    tower({"history": BATCH["history"]})
    table = np.eye(N_ITEMS, DIM, dtype="float32")
    tower.items.assign(table)
    before = np.array(tower({"history": BATCH["history"]}))[0, :DIM]
    np.testing.assert_allclose(before, table[[1, 2]].mean(axis=0), rtol=1e-4)
    tower.key.assign(100 * table[2])
    after = np.array(tower({"history": BATCH["history"]}))[0, :DIM]
    np.testing.assert_allclose(after, table[2], atol=1e-4)


def test_users_and_features_are_added():
    tower = QueryTower(N_ITEMS, DIM, n_users=N_USERS)
    inputs = batch_with_features()
    out = np.array(tower(inputs))
    other = np.array(tower({**inputs, "user": np.array([3, 3, 3], np.int32)}))
    users = np.array(tower.users)
    np.testing.assert_allclose(
        (out - other)[:, :DIM], users[[0, 1, 2]] - users[[3]], rtol=1e-3, atol=1e-6
    )
    twice = np.array(tower({**inputs, "features": 2 * inputs["features"]}))
    kernel = np.array(tower.from_features.kernel)
    np.testing.assert_allclose(
        (twice - out)[:, :DIM], inputs["features"] @ kernel, rtol=1e-3, atol=1e-6
    )


def test_history_dropout_is_for_training_alone():
    tower = QueryTower(N_ITEMS, DIM, dropout=0.5, seed=0)
    history = {"history": np.tile(np.arange(8, dtype=np.int32), (64, 1))}
    calm = np.array(tower(history, training=False))
    np.testing.assert_array_equal(calm, np.tile(calm[:1], (64, 1)))
    assert len(np.unique(np.array(tower(history, training=True)), axis=0)) > 32


# --- The candidate tower -----------------------------------------------------------------------


def test_an_item_without_a_past_has_its_content_alone():
    model = full()
    model(batch_with_features())
    before = model.candidate_vectors()
    model.candidate_tower.items.assign_add(np.ones((N_ITEMS, DIM)))
    model.candidate_tower.biases.assign_add(np.ones((N_ITEMS, 1)))
    moved = model.candidate_vectors() - before
    np.testing.assert_allclose(
        moved, np.repeat(COUNTS > 0, DIM + 1).reshape(N_ITEMS, -1), atol=1e-5
    )


def test_id_dropout_leaves_the_content():
    tower = CandidateTower(N_ITEMS, DIM, fusion=LateFusion(DIM), id_dropout=1.0)
    items = {
        "item": np.arange(N_ITEMS, dtype=np.int32),
        "content": {"text": CONTENT["text"]},
        "present": {"text": np.ones(N_ITEMS, bool)},
    }
    without = np.array(tower({**items, "item": np.full(N_ITEMS, -1, np.int32)}))
    np.testing.assert_allclose(tower(items, training=True), without, rtol=1e-6)
    assert not np.allclose(tower(items), without)


@pytest.mark.parametrize("fusion", [ConcatFusion, GatedFusion, AttentionFusion, LateFusion])
def test_any_modality_may_be_missing(fusion):
    model = full(fusion=fusion)
    model(batch_with_features())
    rows = np.arange(N_ITEMS)
    inputs = model._item_inputs(rows)
    none = {name: np.zeros(N_ITEMS, bool) for name in CONTENT}
    vectors = np.array(model.candidate_tower({**inputs, "present": none}))
    assert np.isfinite(vectors).all()
    broken = {**inputs, "content": {**CONTENT, "text": np.full((N_ITEMS, 5), np.nan, "float32")}}
    np.testing.assert_array_equal(model.candidate_tower({**broken, "present": none}), vectors)


# --- The loss ----------------------------------------------------------------------------------


def by_hand(model, *, negatives, temperature=1.0, log_q=True, mask=True, hard=None, shared=2):
    """The mean loss of BATCH, target by target, from scores of single pairs."""
    queries = np.array(model(BATCH), np.float64)
    vectors = model.candidate_vectors().astype(np.float64)
    scores = queries @ vectors.T / temperature
    history, targets = BATCH["history"], BATCH["targets"]
    drawn = targets[:, :shared][targets[:, :shared] >= 0]
    losses = []
    for row in range(3):
        own = set(history[row]) | set(targets[row])
        for target in targets[row]:
            if target < 0:
                continue
            if negatives == "all":
                kept = own if mask else set(targets[row])
                pool = [i for i in range(N_ITEMS) if i not in kept and COUNTS[i]]
                logits = scores[row, pool]
            else:
                places = [(r, c) for r in range(3) for c in range(shared) if targets[r, c] >= 0]
                if mask:
                    pool = [targets[p] for p in places if targets[p] not in own]
                else:
                    pool = [targets[p] for p in places if p[0] != row]
                logits = scores[row, pool]
                if log_q:
                    others = len(drawn) * 2 / 3
                    logits = logits - np.log(others * COUNTS[pool] / COUNTS.sum())
            if hard is not None:
                logits = np.sort(logits)[-hard:]
            positive = scores[row, target]
            losses.append(logsumexp([positive, *logits]) - positive)
    return np.mean(losses)


@pytest.mark.parametrize("negatives", ["all", "batch"])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_loss_is_what_one_computes_by_hand(negatives, normalize, temperature):
    model = plain(negatives=negatives, normalize=normalize, temperature=temperature)
    loss = model.compute_loss(x=BATCH, y_pred=model(BATCH), training=False)
    expected = by_hand(model, negatives=negatives, temperature=temperature)
    np.testing.assert_allclose(float(loss), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("negatives", "option"),
    [
        ("batch", {"log_q": False}),
        ("batch", {"hard_negatives": 1}),
        ("batch", {"mask": False}),
        ("batch", {"shared_targets": 1}),
        ("all", {"mask": False}),
    ],
)
def test_each_term_of_the_loss_can_be_left_out(negatives, option):
    model = plain(negatives=negatives, **option)
    loss = model.compute_loss(x=BATCH, y_pred=model(BATCH), training=False)
    words = {"hard_negatives": "hard", "shared_targets": "shared"}
    own = {words.get(name, name): value for name, value in option.items()}
    np.testing.assert_allclose(float(loss), by_hand(model, negatives=negatives, **own), rtol=1e-5)
    assert not np.isclose(float(loss), by_hand(model, negatives=negatives), rtol=1e-4)


@pytest.mark.parametrize("negatives", ["all", "batch"])
def test_own_items_are_found_wherever_they_stand(negatives):
    rng = np.random.default_rng(0)
    model = plain()
    own = rng.integers(-1, N_ITEMS, (5, 7)).astype("int32")
    candidates = np.arange(N_ITEMS, dtype="int32")
    if negatives == "batch":
        candidates = rng.integers(0, N_ITEMS, 20).astype("int32")
    expected = (own[:, :, None] == candidates).any(axis=1)
    assert expected.any()
    assert not expected.all()
    np.testing.assert_array_equal(model._is_own(own, candidates), expected)


def test_in_batch_softmax_estimates_the_sum_over_all_items():
    """Averaged over batches, the corrected negatives sum to what all items would."""
    rng = np.random.default_rng(0)
    model = plain(negatives="batch")
    scores = np.array(model(BATCH)) @ model.candidate_vectors().T
    share = COUNTS / COUNTS.sum()
    log_q = tf.function(model._log_q)
    totals = []
    for _ in range(4000):
        drawn = rng.choice(N_ITEMS, 3, p=share).astype("int32")
        totals.append(np.exp(scores[0, drawn[1:]] - log_q(drawn, 3).numpy()[1:]).sum())
    expected = np.exp(scores[0, COUNTS > 0]).sum()
    np.testing.assert_allclose(np.mean(totals), expected, rtol=0.05)


def test_cold_items_get_no_gradient_and_masked_ones_neither():
    model = plain(negatives="all")
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=BATCH, y_pred=model(BATCH), training=False)
    gradient = tf.convert_to_tensor(tape.gradient(loss, model.candidate_tower.items.value)).numpy()
    assert not gradient[COUNTS == 0].any()
    assert gradient[COUNTS > 0].any(axis=1).all()
    one = {name: values[1:2] for name, values in BATCH.items()}
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=one, y_pred=model(one), training=False)
    gradient = tf.convert_to_tensor(tape.gradient(loss, model.candidate_tower.items.value)).numpy()
    assert not gradient[0].any(), "the history is nobody's negative"


def test_bpr_ranks_each_target_above_a_drawn_negative():
    losses = []
    model = plain(loss="bpr")
    scores = np.array(model(BATCH), np.float64) @ model.candidate_vectors().T.astype(np.float64)
    loss = tf.function(lambda: model.compute_loss(x=BATCH, y_pred=model(BATCH), training=False))
    for _ in range(400):
        losses.append(float(loss()))
    pairs = []
    for row in range(3):
        own = {*BATCH["history"][row], *BATCH["targets"][row]}
        pool = [i for i in range(N_ITEMS) if i not in own and COUNTS[i]]
        for target in BATCH["targets"][row]:
            if target >= 0:
                # Draws that are no negatives do not count: the more there are, the more it counts.
                pairs += list(np.logaddexp(0, scores[row, pool] - scores[row, target]))
    np.testing.assert_allclose(np.mean(losses), np.mean(pairs), rtol=0.02)


def test_weights_of_examples_count():
    model = plain()
    vectors = model(BATCH)
    only = model.compute_loss(x=BATCH, y_pred=vectors, sample_weight=np.array([0.0, 1.0, 0.0]))
    one = {name: values[1:2] for name, values in BATCH.items()}
    np.testing.assert_allclose(
        float(only), float(model.compute_loss(x=one, y_pred=vectors[1:2])), rtol=1e-5
    )


# --- Keras around it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"negatives": "batch"},
        {"negatives": "batch", "hard_negatives": 4, "shared_targets": 1},
        {"loss": "bpr"},
        {"learn_temperature": True, "temperature": 0.5},
    ],
    ids=str,
)
def test_fit_learns_what_comes_next(options):
    dataset = shop()
    model = ring_model(dataset, **options)
    model.compile(keras.optimizers.Adam(0.03), jit_compile=True)
    losses = model.fit(stream(dataset), epochs=12, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]
    history = {"history": histories(dataset, dataset.interactions, length=4)}
    scores = model.scores(history)
    last = history["history"][:, 0]
    following = (last + 1) % dataset.n_items
    rank = (scores > scores[np.arange(len(last)), following][:, None]).sum(axis=1)
    assert np.mean(rank) < 2.5  # of 12 items; at random 5.5


def test_seeds_give_the_same_run_twice():
    dataset = shop()
    runs = []
    for _ in range(2):
        model = ring_model(dataset, seed=3)
        model.compile(keras.optimizers.AdamW(0.01))
        model.fit(stream(dataset, seed=3), epochs=2, shuffle=False, verbose=0)
        runs.append(model.get_weights())
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second)


def test_saved_and_loaded_it_is_the_same_to_the_last_bit(tmp_path):
    model = full(hard_negatives=2, temperature=0.3, learn_temperature=True)
    inputs = batch_with_features()
    model.compile(keras.optimizers.AdamW(0.01))
    data = tf.data.Dataset.from_tensors(inputs).repeat(4)
    model.fit(data, epochs=1, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.scores(inputs), loaded.scores(inputs))
    for mine, theirs in zip(model.weights, loaded.weights, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)
    # It goes on as the first would have.
    for either in (model, loaded):
        either.fit(data, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(model.scores(inputs), loaded.scores(inputs))


def test_half_precision_is_finite_and_close():
    inputs = batch_with_features()
    wide = full()
    wide(inputs)
    reference = wide.scores(inputs)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = full()
        half(inputs)
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(wide.get_weights())
    np.testing.assert_allclose(half.scores(inputs), reference, atol=0.02)
    # Far larger scores than float16 can hold.
    half.candidate_tower.items.assign(300 * np.array(half.candidate_tower.items))
    half.query_tower.items.assign(3e4 * np.array(half.query_tower.items))
    half.compile(keras.optimizers.AdamW(0.01))
    history = half.fit(
        tf.data.Dataset.from_tensors(inputs).repeat(3), shuffle=False, verbose=0
    ).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(weight).all() for weight in half.get_weights())


def test_jit_and_graph_agree():
    dataset = shop()
    losses = []
    for jit in (False, True):
        model = ring_model(dataset)
        model.compile(keras.optimizers.SGD(0.1), jit_compile=jit)
        data = stream(dataset)
        losses.append(model.evaluate(data, verbose=0))
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_callbacks_and_validation_work_as_in_any_model(tmp_path):
    dataset = shop()
    model = ring_model(dataset)
    model.compile(keras.optimizers.Adam(0.01))
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=100)
    board = keras.callbacks.TensorBoard(tmp_path)
    history = model.fit(
        stream(dataset),
        validation_data=stream(dataset, passes=1),
        epochs=5,
        callbacks=[stop, board],
        shuffle=False,
        verbose=0,
    ).history
    assert len(history["val_loss"]) == 2
    assert list(tmp_path.glob("*/events*"))


SCRIPT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import keras
from test_two_tower import ring_model, shop, stream
dataset = shop()
model = ring_model(dataset)
model.compile(keras.optimizers.AdamW(0.01))

class Die(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if int(model.optimizer.iterations) == 25:
            os.kill(os.getpid(), signal.SIGKILL)

backup = keras.callbacks.BackupAndRestore({folder!r})
data = stream(dataset, step=lambda: model.optimizer.iterations)
model.fit(data, epochs=3, callbacks=[backup, Die()], shuffle=False, verbose=0)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path):
    dataset = shop()

    def train(callbacks):
        model = ring_model(dataset)
        model.compile(keras.optimizers.AdamW(0.01))
        data = stream(dataset, step=lambda: model.optimizer.iterations)
        seen = model.fit(data, epochs=3, callbacks=callbacks, shuffle=False, verbose=0)
        return model, len(seen.history["loss"])

    undisturbed, n_epochs = train([])
    assert n_epochs == 3
    folder = str(tmp_path / "backup")
    script = textwrap.dedent(SCRIPT).format(tests=os.path.dirname(__file__), folder=folder)
    died = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()[-2000:]
    resumed, n_epochs = train([keras.callbacks.BackupAndRestore(folder)])
    assert n_epochs == 2, "20 batches an epoch: it was killed in the second"
    for mine, theirs in zip(undisturbed.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


# --- Bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"negatives": "some"}, "`negatives` 'all' or 'batch'"),
        ({"shared_targets": 2}, "`shared_targets` of at least 1, and with"),
        ({"negatives": "batch", "shared_targets": 0}, "`shared_targets` of at least 1"),
        ({"loss": "mse"}, "`loss` 'softmax' or 'bpr'"),
        ({"loss": "bpr", "hard_negatives": 3}, "`hard_negatives` with the softmax"),
        ({"temperature": 0.0}, "`temperature` to be positive"),
        ({"counts": COUNTS[1:]}, "`counts` with 12 rows"),
        ({"present": PRESENT}, "`present` for what is in `content`"),
        ({"history_content": ("sound",)}, "`history_content` to name content"),
        ({"features": FEATURES[:3]}, "`features` with 12 rows"),
    ],
)
def test_wrong_options(options, message):
    towers = QueryTower(N_ITEMS, DIM), CandidateTower(N_ITEMS, DIM)
    with pytest.raises(ValueError, match=message):
        TwoTower(*towers, **({"counts": COUNTS} | options))


def test_towers_that_do_not_meet():
    with pytest.raises(ValueError, match=r"same `dim`\. Received: 4 in the query tower, 5"):
        TwoTower(QueryTower(N_ITEMS, 4), CandidateTower(N_ITEMS, 5), counts=COUNTS)
    with pytest.raises(ValueError, match="same `normalize`"):
        TwoTower(QueryTower(N_ITEMS, 4), CandidateTower(N_ITEMS, 4, normalize=True), counts=COUNTS)
    with pytest.raises(ValueError, match=r"`fusion` with dim=4\. Received: dim=8"):
        CandidateTower(N_ITEMS, 4, fusion=LateFusion(8))
    model = TwoTower(
        QueryTower(N_ITEMS, 4), CandidateTower(N_ITEMS, 4), counts=COUNTS, content=CONTENT
    )
    with pytest.raises(ValueError, match="content with a `fusion`"):
        model(BATCH)


@pytest.mark.parametrize(
    ("create", "message"),
    [
        (lambda: QueryTower(3, 4, dropout=1.0), "`dropout` in"),
        (lambda: QueryTower(3, 4, half_life=0), "`half_life` to be positive"),
        (lambda: CandidateTower(3, 4, id_dropout=1.5), "`id_dropout` in"),
    ],
)
def test_wrong_numbers(create, message):
    with pytest.raises(ValueError, match=message):
        create()
