"""The ten best of many items: how fast, at which recall, in how much memory.

python -m benchmarks.retrieval              all, each in a process of its own
python -m benchmarks.retrieval NAME FILE    one contender, on the arrays of a file
"""

import json
import subprocess
import sys
import tempfile
import time
import timeit
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results" / "retrieval.json"
SCANN = Path(sys.prefix) / "scann" / "bin" / "python"
SIZES = (100_000, 1_000_000)
DIM, K, RECALL, BATCH, ONES = 64, 10, 0.95, 256, 200


def item_index(items):
    """Return a function from a setting to a search, the settings, and the size in bytes."""
    from mmrec_tf import ItemIndex

    index = ItemIndex(range(len(items)), items)
    return lambda setting: lambda queries: index.search(queries, K)[0], [""], items.nbytes


def faiss_index(factory, settings):
    """Return the same of a `FaissIndex`."""

    def build(items):
        from mmrec_tf import FaissIndex

        index = FaissIndex(range(len(items)), items, factory)

        def choose(setting):
            index.parameters = setting
            return lambda queries: index.search(queries, K)[0]

        with tempfile.NamedTemporaryFile() as file:
            index.save(file.name)
            size = Path(file.name).stat().st_size
        return choose, settings, size

    return build


def faiss_itself(factory, settings):
    """Return the same of FAISS without anything around it."""

    def build(items):
        import faiss

        index = faiss.index_factory(DIM, factory, faiss.METRIC_INNER_PRODUCT)
        index.train(items)
        index.add(items)

        def choose(setting):
            faiss.ParameterSpace().set_index_parameters(index, setting)
            return lambda queries: index.search(queries, K)[1]

        return choose, settings, faiss.serialize_index(index).nbytes

    return build


def keras_rs_brute_force(items):
    """Return the same of keras-rs, its search compiled."""
    import keras_rs
    import tensorflow as tf

    layer = keras_rs.layers.BruteForceRetrieval(candidate_embeddings=items, k=K)
    call = tf.function(lambda queries: layer(queries)[1])
    return lambda setting: lambda queries: call(tf.constant(queries)).numpy(), [""], items.nbytes


def scann(items):
    """Return the same of ScaNN: codes for dot products, compared once more."""
    from scann import scann_ops_pybind

    builder = scann_ops_pybind.builder(items, K, "dot_product")
    settings = [f"reorder={n}" for n in (50, 100, 200, 400, 800)]
    if len(items) > 200_000:
        builder = builder.tree(2000, 100, training_sample_size=250_000)
        settings = [f"leaves={n} {s}" for n in (50, 150, 400, 1000) for s in settings[1:]]
    index = builder.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(100).build()

    def choose(setting):
        options = dict(part.split("=") for part in setting.split())
        named = {"pre_reorder_num_neighbors": int(options["reorder"])}
        if "leaves" in options:
            named["leaves_to_search"] = int(options["leaves"])

        def search(queries):
            if len(queries) == 1:
                return index.search(queries[0], **named)[0][None]
            return index.search_batched_parallel(queries, **named)[0]

        return search

    # Codes of 4 bits for each two numbers, and the vectors.
    return choose, settings, items.nbytes + len(items) * DIM // 4


def grid(**values):
    """Return FAISS parameters, every combination of the values."""
    settings = [""]
    for name, choices in values.items():
        settings = [f"{s},{name}={value}".strip(",") for s in settings for value in choices]
    return settings


def contenders(n):
    """Return what is measured on n items, by name; the first is what others are compared with."""
    lists = 1024 if n <= 200_000 else 4096
    rerank = (10, 20, 40, 80)
    ours = {
        "ItemIndex": item_index,
        "FaissIndex, codes": faiss_index("PQ32x4fs,RFlat", grid(k_factor_rf=rerank)),
        "FaissIndex, clusters of codes": faiss_index(
            f"IVF{lists},PQ32x4fs,RFlat",
            grid(nprobe=[lists // d for d in (64, 32, 16, 8, 4, 2)], k_factor_rf=rerank),
        ),
        "FaissIndex, clusters": faiss_index(
            f"IVF{lists},Flat", grid(nprobe=[lists // d for d in (64, 32, 16, 8, 4, 2)])
        ),
    }
    theirs = {
        "FAISS, Flat": faiss_itself("Flat", [""]),
        "FAISS, HNSW": faiss_itself("HNSW32", grid(efSearch=(32, 64, 128, 256, 512, 1024))),
        "keras-rs, brute force": keras_rs_brute_force,
        "ScaNN": scann,
    }
    return theirs | ours


def arrays(kind, n):
    """Return items, and queries with their ten best: to choose a setting with, and to measure."""
    if kind == "random":
        drawn = np.random.default_rng(0).normal(size=(n + 2048, DIM)).astype(np.float32)
        drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        items, queries = drawn[:n], drawn[n:]
    else:
        from benchmarks.trained_vectors import trained_vectors

        items, queries = trained_vectors(n, n_queries=2048)
    tuning, queries = queries[:512], queries[1024:]
    return items, tuning, truth(items, tuning), queries, truth(items, queries)


def measure(name, items, tuning, wanted, queries, right):
    """Return a contender's times, in seconds, at the fastest setting of enough recall."""
    start = time.perf_counter()
    choose, settings, size = contenders(len(items))[name](items)
    build = time.perf_counter() - start
    tried = []
    for setting in settings:
        search = choose(setting)
        search(tuning[:BATCH])
        start = time.perf_counter()
        found = search(tuning)
        tried.append((time.perf_counter() - start, recall(found, wanted), setting))
    enough = [row for row in tried if row[1] >= RECALL]
    # If none has enough, the one that misses least.
    setting = min(enough)[2] if enough else max(tried, key=lambda row: row[1])[2]
    search = choose(setting)
    return {
        "name": name,
        "setting": setting,
        "recall": round(recall(search(queries), right), 3),
        "batch": fastest(lambda: search(queries[:BATCH])) / BATCH,
        "one": fastest(lambda: [search(q[None]) for q in queries[:ONES]]) / ONES,
        "build": build,
        "mb": round(size / 2**20),
    }


def truth(items, queries):
    """Return the ten best, in the plainest way."""
    scores = [items @ query for query in queries]
    return np.array([np.argpartition(-row, K)[:K] for row in scores])


def recall(found, right):
    """Return which share of the ten best has been found."""
    return float(np.mean([np.isin(b, a).mean() for a, b in zip(found, right, strict=True)]))


def fastest(function):
    """Return the seconds of the fastest of three calls."""
    return min(timeit.repeat(function, number=1, repeat=3))


def main():
    """Measure all, about forty minutes on two cores."""
    from benchmarks.run import machine

    rows = []
    for n in SIZES:
        for kind in ("random", "trained"):
            with tempfile.NamedTemporaryFile(suffix=".npz") as file:
                np.savez(file.name, *arrays(kind, n))
                group = [of_its_own(name, file.name) for name in contenders(n)]
            first = {speed: group[0][speed] for speed in ("batch", "one")}
            for row in group:
                for speed, seconds in first.items():
                    row[f"{speed}_ratio"] = float(f"{seconds / row[speed]:.2g}")
                    row[speed] = float(f"{row[speed]:.2g}")
                row["build"] = float(f"{row['build']:.2g}")
                rows.append({"items": n, "vectors": kind, **row})
                print(rows[-1], flush=True)
    results = {"rows": rows, "dim": DIM, "batch": BATCH, "wanted": RECALL, "machine": machine()}
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def of_its_own(name, path):
    """Measure a contender in a process of its own, ScaNN in its own environment."""
    python = SCANN if name == "ScaNN" else sys.executable
    command = [str(python), "-W", "ignore", "-m", "benchmarks.retrieval", name, path]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        with np.load(sys.argv[2]) as saved:
            print(json.dumps(measure(sys.argv[1], *saved.values())))
    else:
        main()
