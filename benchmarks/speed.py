"""Examples a second in training: two bare embeddings, as tutorials have them, and `TwoTower`.

python -m benchmarks.speed         measures all, each in a process of its own
python -m benchmarks.speed NAME    measures one and prints it as JSON
"""

import json
import resource
import subprocess
import sys
import time
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


class BasicRetrieval(keras.Model):
    """Two bare embeddings and in-batch softmax, as retrieval tutorials begin.

    Written after the idea of `examples/basic_retrieval` of keras-rs: the logits are the batch's
    users times the batch's items, the labels the diagonal.
    """

    def __init__(self, n_users, n_items, dim):
        super().__init__()
        self.users = keras.layers.Embedding(n_users, dim)
        self.items = keras.layers.Embedding(n_items, dim)

    def call(self, inputs):
        """Return the logits of every user of the batch for every item of the batch."""
        users, items = self.users(inputs["user"]), self.items(inputs["item"])
        return keras.ops.matmul(users, keras.ops.transpose(items))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the mean cross-entropy of the diagonal."""
        labels = keras.ops.arange(keras.ops.shape(y_pred)[0])
        losses = keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        return keras.ops.mean(losses)


def basic(dataset, train, *, batch_size=512, jit=False):
    """Return a tutorial's model, its data, and the examples of an epoch."""
    model = BasicRetrieval(dataset.n_users, dataset.n_items, DIM)
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
    )
    model.compile(keras.optimizers.AdamW(0.003), jit_compile=True)

    def stream():
        return next_items_data(
            dataset, train, history_length=50, n_targets=100, batch_size=128, passes=5
        )

    examples = sum(int((batch["targets"].numpy() >= 0).sum()) for batch in stream())
    return model, stream(), examples


CASES = {
    "two embeddings, as in tutorials": lambda *data: basic(*data),
    "two embeddings, jit_compile": lambda *data: basic(*data, jit=True),
    "two embeddings, jit_compile, batches of 4,096": lambda *data: basic(
        *data, batch_size=4096, jit=True
    ),
    "TwoTower, in-batch softmax": lambda *data: ours(*data, negatives="batch"),
    "TwoTower, softmax over all items": lambda *data: ours(*data, negatives="all"),
}


def measure(name):
    """Return the examples a second of the fastest epoch, and the memory in megabytes."""
    dataset = load_movielens_100k()
    train = per_user_temporal_split(dataset).train
    model, data, examples = CASES[name](dataset, train)
    model.fit(data, epochs=1, shuffle=False, verbose=0)  # Compiles.
    times = []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        model.fit(data, epochs=1, shuffle=False, verbose=0)
        times.append(time.perf_counter() - start)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {"name": name, "examples_per_second": examples / min(times), "peak_mb": round(peak)}


def main():
    """Measure every case by itself, and keep the ratios."""
    rows = []
    for name in CASES:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed", name]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(json.loads(out.splitlines()[-1]))
        print(rows[-1], flush=True)
    first = rows[0]["examples_per_second"]
    for row in rows:
        row["ratio"] = round(row["examples_per_second"] / first, 2)
        row["examples_per_second"] = float(f"{row['examples_per_second']:.2g}")
    results = {"rows": rows, "dim": DIM, "machine": machine()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        main()
