import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from mmrec_tf import ItemIndex
from mmrec_tf.export import export_query_tower, export_recommender
from mmrec_tf.fusion import GatedFusion
from mmrec_tf.two_tower import CandidateTower, QueryTower, TwoTower

N, LENGTH = 30, 6


def create(*, normalize=False, n_features=None, content=False, **options):
    """Return a model whose weights are large enough for lists to differ, and its queries."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    table = {"text": rng.normal(size=(N, 5)).astype("float32")} if content else None
    model = TwoTower(
        QueryTower(N, 8, normalize=normalize, seed=0, **options),
        CandidateTower(N, 8, normalize=normalize, fusion=GatedFusion(8) if content else None),
        counts=np.ones(N),
        content=table,
        history_content=["text"] if content else [],
    )
    queries = {"history": rng.integers(-1, N, (9, LENGTH)).astype("int32")}
    queries["history"][0] = -1
    if n_features:
        queries["features"] = rng.normal(size=(9, n_features)).astype("float32")
    model(queries)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return model, queries


MODELS = {
    "plain": {},
    "unit": {"normalize": True},
    "attention": {"attention": True},
    "features": {"n_features": 3},
    "content": {"content": True},
}


@pytest.fixture(params=MODELS)
def model_and_queries(request):
    return create(**MODELS[request.param])


def names(ids):
    return [f"item {id}" if id >= 0 else "" for id in ids]


def test_saved_model_recommends_what_the_index_does(model_and_queries, tmp_path):
    model, queries = model_and_queries
    ids = names(range(N))
    index = ItemIndex(ids[5:], model.candidate_vectors()[5:])  # The first five are not for sale.
    export_recommender(tmp_path, model, ids, index)
    loaded = tf.saved_model.load(tmp_path).signatures["serving_default"]
    history = [names(row) for row in queries["history"]]
    asked = {"history": tf.constant(history), "k": tf.constant(4)}
    if "features" in queries:
        asked["features"] = tf.constant(queries["features"])
    found = loaded(**asked)
    right, scores = index.search(np.array(model(queries)), 4, exclude=history)
    assert [[id.decode() for id in row] for row in found["ids"].numpy()] == right.tolist()
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-4, atol=1e-4)


def test_saved_model_needs_no_package_of_ours(tmp_path):
    model, _ = create()
    ids = names(range(N))
    export_recommender(tmp_path / "model", model, ids, ItemIndex(ids, model.candidate_vectors()))
    code = (
        "import sys, tensorflow as tf\n"
        f"model = tf.saved_model.load({str(tmp_path / 'model')!r})\n"
        "recommend = model.signatures['serving_default']\n"
        "found = recommend(history=tf.constant([['item 3']]), k=tf.constant(2))\n"
        "assert 'mmrec_tf' not in sys.modules\n"
        "print(b'|'.join(found['ids'].numpy()[0]).decode())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    queries = {"history": np.array([[3]], np.int32)}
    scores = model.scores(queries)[0]
    scores[3] = -np.inf
    assert done.stdout.split("\n")[-2] == "|".join(names(np.argsort(-scores)[:2]))


def test_unknown_ids_integers_and_too_few_items(tmp_path):
    model, _ = create()
    index = ItemIndex([10, 11, 12], model.candidate_vectors()[:3])
    export_recommender(tmp_path, model, range(10, 10 + N), index)
    recommend = tf.saved_model.load(tmp_path).signatures["serving_default"]

    def ask(history, k):
        return recommend(history=tf.constant([history], tf.string), k=tf.constant(k))

    found = ask(["11", "nobody's", "-1"], 5)
    ids = found["ids"].numpy()[0].tolist()
    assert sorted(ids[:2]) == [b"10", b"12"]
    assert ids[2:] == [b""] * 3
    assert np.isneginf(found["scores"][0, 2:]).all()
    # An item of which nothing is known is no item.
    nothing = ask([], 3)
    for history in (["nobody's"], ["", ""]):
        np.testing.assert_array_equal(ask(history, 3)["scores"], nothing["scores"])
    assert len(set(nothing["ids"].numpy()[0].tolist())) == 3


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_query_tower_elsewhere_gives_the_same_vectors(model_and_queries, suffix, tmp_path):
    model, queries = model_and_queries
    path = tmp_path / f"query{suffix}"
    export_query_tower(path, model, history_length=LENGTH)
    run = {".tflite": run_litert, ".onnx": run_onnx}[suffix]
    np.testing.assert_allclose(run(path, queries), model(queries), rtol=1e-4, atol=1e-4)


def run_litert(path, queries):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    details = interpreter.get_input_details()
    inputs = {name: d["index"] for name, d in zip(sorted(queries), details, strict=True)}
    for name, values in queries.items():
        interpreter.resize_tensor_input(inputs[name], values.shape)
    interpreter.allocate_tensors()
    for name, values in queries.items():
        interpreter.set_tensor(inputs[name], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def run_onnx(path, queries):
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    inputs = {
        next(i.name for i in session.get_inputs() if name in i.name): values
        for name, values in queries.items()
    }
    return session.run(None, inputs)[0]


def test_what_cannot_be_exported_is_named(tmp_path):
    model, _ = create()
    ids = names(range(N))
    index = ItemIndex(ids, model.candidate_vectors())
    with pytest.raises(ValueError, match=r"model's 30 items\. Received: 29"):
        export_recommender(tmp_path, model, ids[1:], index)
    with pytest.raises(ValueError, match=r"length 9, as the model has them\. Received: 2"):
        export_recommender(tmp_path, model, ids, ItemIndex(["a"], [[1.0, 2.0]]))
    with pytest.raises(ValueError, match=r"\['.onnx', '.tflite'\]\. Received: query\.pb"):
        export_query_tower(tmp_path / "query.pb", model, history_length=LENGTH)
    known_users = TwoTower(QueryTower(N, 8, n_users=3), CandidateTower(N, 8), counts=np.ones(N))
    for export in (
        lambda: export_recommender(tmp_path, known_users, ids, index),
        lambda: export_query_tower(tmp_path / "query.onnx", known_users, history_length=LENGTH),
    ):
        with pytest.raises(ValueError, match=r"n_users=None\. Received: n_users=3"):
            export()
    assert not list(tmp_path.iterdir())
