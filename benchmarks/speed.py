"""Examples a second in training: two bare embeddings, as tutorials have them, and `TwoTower`.

python -m benchmarks.speed         measures all, each in a process of its own
python -m benchmarks.speed NAME    measures one and prints it as JSON
"""

import json
import resource
import subprocess
import sys
import timeit
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from benchmarks.run import machine
from mmrec_tf import load_movielens_100k, per_user_temporal_split
from mmrec_tf.sequences import next_items_data
from mmrec_tf.two_tower import CandidateTower, QueryTower, TwoTower

RESULTS = Path(__file__).parent / "results" / "speed.json"
DIM, EPOCHS = 64, 5
# Of `TwoTower`: as many negatives as the tutorials' batches of 512 have.
HISTORY, TARGETS, USERS, SHARED = 50, 30, 256, 2


class BasicRetrieval(keras.Model):
    """Two bare embeddings and a softmax, as retrieval tutorials begin.

    Written after the idea of `examples/basic_retrieval` of keras-rs: the logits are the batch's
    users times the batch's items, the labels the diagonal. With `negatives="all"` they are times
    all items, and the labels the items.
    """

    def __init__(self, n_users, n_items, dim, negatives):
        super().__init__()
        self.negatives = negatives
        self.users = keras.layers.Embedding(n_users, dim)
        self.items = keras.layers.Embedding(n_items, dim)

    def call(self, inputs):
        """Return the logits of every user of the batch for every candidate."""
        users, items = self.users(inputs["user"]), self.items(inputs["item"])
        if self.negatives == "all":
            items = self.items.embeddings
        return keras.ops.matmul(users, keras.ops.transpose(items))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean cross-entropy of what the users chose."""
        labels = x["item"]
        if self.negatives == "batch":
            labels = keras.ops.arange(keras.ops.shape(y_pred)[0])
        losses = keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        return keras.ops.mean(losses)


def basic(dataset, train, *, negatives, batch_size=512, jit=False):
    """Return a tutorial's model, its data, and the examples of an epoch."""
    model = BasicRetrieval(dataset.n_users, dataset.n_items, DIM, negatives)
    columns = {name: train[name].to_numpy(np.int32) for name in ("user", "item")}
    data = tf.data.Dataset.from_tensor_slices(columns).shuffle(len(train))
    data = data.batch(batch_size, drop_remainder=True).prefetch(2)
    model.compile(keras.optimizers.AdamW(0.003), jit_compile=jit)
    return model, data, len(train) // batch_size * batch_size


def ours(dataset, train, *, negatives):
    """Return a `TwoTower` of the same width, its data, and the examples of an epoch."""
    n = dataset.n_items
    model = TwoTower(
        QueryTower(n, DIM),
        CandidateTower(n, DIM),
        counts=np.bincount(train["item"], minlength=n),
        negatives=negatives,
        shared_targets=SHARED if negatives == "batch" else None,
    )
    model.compile(keras.optimizers.AdamW(0.003), jit_compile=True)

    def stream():
        return next_items_data(
            dataset,
            train,
            history_length=HISTORY,
            n_targets=TARGETS,
            batch_size=USERS,
            passes=5,
        )

    examples = sum(int((batch["targets"].numpy() >= 0).sum()) for batch in stream())
    return model, stream(), examples


# The first of each loss is what the others of that loss are compared with.
CASES = {
    "in-batch softmax": {
        "two embeddings, as in tutorials": lambda *data: basic(*data, negatives="batch"),
        "two embeddings, jit_compile": lambda *data: basic(*data, negatives="batch", jit=True),
        "two embeddings, jit_compile, batches of 4,096": lambda *data: basic(
            *data, negatives="batch", batch_size=4096, jit=True
        ),
        "TwoTower": lambda *data: ours(*data, negatives="batch"),
    },
    "softmax over all items": {
        "two embeddings": lambda *data: basic(*data, negatives="all"),
        "two embeddings, jit_compile": lambda *data: basic(*data, negatives="all", jit=True),
        "TwoTower": lambda *data: ours(*data, negatives="all"),
    },
}


def measure(loss, name):
    """Return the examples a second of the fastest epoch, and the memory in megabytes."""
    dataset = load_movielens_100k()
    train = per_user_temporal_split(dataset).train
    model, data, examples = CASES[loss][name](dataset, train)
    seconds = _fastest(lambda: model.fit(data, epochs=1, shuffle=False, verbose=0))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {
        "examples_per_second": examples / seconds,
        "peak_mb": round(peak),
        "parts": _parts(model, data, seconds) if name == "TwoTower" else {},
    }


def _parts(model, data, seconds):
    """Return which share of an epoch each part takes, from functions that do ever more of it."""

    @tf.function(jit_compile=True)
    def query(batch):
        return tf.reduce_sum(model(batch, training=True))

    @tf.function(jit_compile=True)
    def loss(batch):
        return model.compute_loss(x=batch, y_pred=model(batch, training=True))

    def epoch(function):
        return _fastest(lambda: [function(batch) for batch in data])

    upto = [epoch(part) for part in (lambda batch: batch, query, loss)] + [seconds]
    names = ("data", "query tower", "candidates and loss", "gradient, optimizer, Keras")
    shares = np.diff([0.0, *upto]) / seconds
    return {name: round(float(share), 2) for name, share in zip(names, shares, strict=True)}


def _fastest(function):
    function()  # Compiles.
    return min(timeit.repeat(function, number=1, repeat=EPOCHS))


def main():
    """Measure every case by itself, and keep the ratios."""
    rows = []
    for loss, cases in CASES.items():
        for name in cases:
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed", loss, name]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows.append({"loss": loss, "name": name, **json.loads(out.splitlines()[-1])})
            print(rows[-1], flush=True)
    for row in rows:
        first = next(other for other in rows if other["loss"] == row["loss"])
        row["ratio"] = round(row["examples_per_second"] / first["examples_per_second"], 2)
    for row in rows:
        row["examples_per_second"] = float(f"{row['examples_per_second']:.2g}")
    results = {
        "rows": rows,
        "dim": DIM,
        "history": HISTORY,
        "targets": TARGETS,
        "users": USERS,
        "shared": SHARED,
    }
    results["machine"] = machine()
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()
