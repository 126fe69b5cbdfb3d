import contextlib
import io
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import wave
import weakref
import zipfile
from concurrent.futures import ThreadPoolExecutor

import httpx
import hypothesis
import numpy as np
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mmrec_tf import FaissIndex, ItemIndex
from mmrec_tf.datasets.media import MediaError
from mmrec_tf.serving import Servable, create_app, load_servable
from mmrec_tf.serving.journal import Journal

from .conftest import ROOT
from .serving_app import ENCODERS, IDS, MODALITIES, RATE, N, create_model, create_servable

VARIANTS = {
    "bias": {},
    "unit": {"normalize": True},
    "no content": {"content": False},
    "features": {"features": 3},
    "integers": {"ids": list(range(2**40, 2**40 + N))},
}


def png(pixels=None, size=(8, 8), color="red"):
    image = Image.new("RGB", size, color) if pixels is None else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def wav(samples):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def gif(frames):
    file = io.BytesIO()
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(file, "gif", save_all=True, append_images=images[1:])
    return file.getvalue()


# --- The servable ---------------------------------------------------------------------------


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_recommends_the_highest_scores_outside_of_the_history(options):
    servable = create_servable(**options)
    ids = servable.item_ids
    rows = [[3, 5, 9], [], [7]]
    histories = [[ids[row] for row in its] for its in rows]
    features = np.arange(9, dtype=np.float32).reshape(3, 3) if "features" in options else None
    found, scores = servable.recommend(histories, 4, features=features)
    padded = np.array([its + [-1] * (3 - len(its)) for its in rows], np.int32)
    queries = {"history": padded} | ({} if features is None else {"features": features})
    right = servable.model.scores(queries)
    for query, its in enumerate(rows):
        right[query, its] = -np.inf
    best = np.argsort(-right, axis=1)[:, :4]
    assert found.tolist() == [[ids[row] for row in its] for its in best]
    np.testing.assert_allclose(scores, np.take_along_axis(right, best, axis=1), rtol=1e-4)


def test_what_is_excluded_and_what_is_unknown():
    servable = create_servable()
    (first, second, third), _ = (row[0] for row in servable.recommend([[IDS[0]]], 3))
    assert servable.recommend([[IDS[0]]], 1, exclude=[[first, second]])[0] == [[third]]
    # What is excluded comes on top of the history, also where that would be recommended.
    alone = servable.recommend([[]], N)[0][0]
    history = [str(alone[0])]
    (best, *_), _ = (row[0] for row in servable.recommend([history], 1))
    found = servable.recommend([history], N - 2, exclude=[[best]])[0][0]
    assert set(found) == set(IDS) - {history[0], best}
    # An unknown id keeps its place in the order, and says nothing.
    both = servable.recommend([["nobody's"], []], 5)
    assert both[0][0].tolist() == both[0][1].tolist()


@pytest.mark.parametrize("normalize", [False, True])
def test_similar_items_have_the_highest_cosines_and_bias_plays_no_part(normalize):
    servable = create_servable(normalize=normalize)
    vectors = servable.model.candidate_vectors()[:, :8].astype(float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors[3]
    cosines[3] = -np.inf
    ids, found = servable.similar(IDS[3], 5)
    best = np.argsort(-cosines)[:5]
    assert ids.tolist() == [IDS[row] for row in best]
    np.testing.assert_allclose(found, cosines[best], rtol=1e-5)
    with pytest.raises(KeyError, match="no item 'x'"):
        servable.similar("x", 5)


def test_content_in_files_gives_the_vector_that_content_in_arrays_does():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (8, 8, 3), np.uint8)
    sound = rng.integers(-9000, 9000, RATE // 10).astype(np.int16)
    clip = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (40, 200)])
    raw = {"text": "a tree", "image": image, "audio": sound, "clip": clip}
    parts = {
        "text": ("", b"a tree"),
        "image": ("any name", png(image)),
        "audio": ("", wav(sound)),
        "clip": ("clip.gif", gif(clip)),
    }
    servable = create_servable(item_features=2)
    model = servable.model
    for absent in (None, "audio", "image"):
        names = [name for name in parts if name != absent]
        content = {name: np.zeros((1, *model.content[name].shape[1:])) for name in parts}
        content |= {name: ENCODERS[name](np.stack([raw[name]])) for name in names}
        right = model.candidate_tower(
            {
                "item": np.array([-1]),
                "content": {name: value.astype("float32") for name, value in content.items()},
                "present": {name: np.array([name in names]) for name in parts},
                "features": np.array([[0.5, 2.0]], np.float32),
            }
        )[0]
        found = servable.encode({name: parts[name] for name in names}, [0.5, 2.0])
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


def test_an_added_item_is_found_and_a_removed_one_is_not():
    servable = create_servable()
    vector = servable.encode({"image": ("", png(color="blue"))})
    servable.add("new", 100 * servable.model(_history([4]), training=False).numpy()[0])
    assert servable.recommend([[IDS[4]]], 1)[0] == [["new"]]
    servable.remove("new")
    servable.add("new", vector)
    # The same content, the same direction.
    servable.add("twin", servable.encode({"image": ("", png(color="blue"))}))
    ids, cosines = servable.similar("new", 1)
    assert ids == ["twin"]
    assert cosines[0] == pytest.approx(1, abs=1e-5)
    servable.remove("twin")
    assert "twin" not in servable.similar("new", N)[0]
    assert "twin" not in servable.recommend([[]], N)[0]


def _history(rows):
    return {"history": np.array([rows], np.int32)}


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({}, "at least one of"),
        ({"smell": ("", b"x")}, "smell"),
        ({"image": ("x.png", b"")}, "empty file"),
        ({"image": ("x.png", b"GIF89a")}, "not an image"),
        ({"image": ("x.png", png()[:60])}, "truncated image"),
        ({"image": ("x.png", png(size=(5000, 4000)))}, r"too large.*16,777,216 pixels"),
        ({"audio": ("x.wav", b"RIFFxxxxWAVE")}, "truncated audio"),
        ({"clip": ("x.gif", b"x")}, "not a gif"),
        ({"clip": ("x.mp4", gif(np.zeros((2, 8, 8, 3), np.uint8)))}, "not an mp4"),
        ({"text": ("", b"\xff")}, "utf-8"),
    ],
)
def test_content_that_cannot_be_read(parts, error):
    with pytest.raises((ValueError, MediaError), match=error):
        create_servable().encode(parts)


def test_encoders_are_checked():
    servable = create_servable()
    servable.encoders["text"] = lambda texts: np.zeros((1, 2))
    with pytest.raises(ValueError, match=r"text of shape \(3,\).*returned: \(2,\)"):
        servable.encode({"text": ("", b"x")})
    servable.encoders["text"] = lambda texts: np.full((1, 3), np.nan)
    with pytest.raises(ValueError, match="finite vector"):
        servable.encode({"text": ("", b"x")})
    with pytest.raises(ValueError, match=r"Expected 0 `features`. Received: 1"):
        servable.encode({"text": ("", b"x")}, [1.0])


def test_what_does_not_fit_the_model():
    model = create_model()
    index = ItemIndex(IDS, model.candidate_vectors())
    good = {"modalities": MODALITIES, "encoders": ENCODERS}
    with pytest.raises(ValueError, match=r"40 items. Received: 39"):
        Servable(model, IDS[1:], index, **good)
    with pytest.raises(ValueError, match=r"length 9.*Received: 8"):
        Servable(model, IDS, ItemIndex(IDS, np.zeros((N, 8))), **good)
    with pytest.raises(ValueError, match=r"all str or all int.*'int', 'str'"):
        Servable(model, range(N), index, **good)
    with pytest.raises(ValueError, match=r"`modalities` for the model's content"):
        Servable(model, IDS, index, encoders=ENCODERS)
    with pytest.raises(ValueError, match=r"`encoders` for no other"):
        Servable(model, IDS, index, modalities=MODALITIES, encoders={"smell": None})
    silent = MODALITIES | {"audio": MODALITIES["text"].from_array(np.zeros((N, 3), np.int16))}
    with pytest.raises(ValueError, match=r"Expected audio to be .*int16 of shape \(3,\)"):
        Servable(model, IDS, index, modalities=silent, encoders=ENCODERS)


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_a_loaded_servable_answers_as_the_saved_one(options, tmp_path):
    servable = create_servable(**options)
    servable.save(tmp_path / "model")
    encoders = ENCODERS if servable.model.content else None
    loaded = load_servable(tmp_path / "model", encoders=encoders)
    features = np.ones((2, 3)) if "features" in options else None
    histories = [[servable.item_ids[1]], servable.histories["ann"]]
    for one, other in zip(
        servable.recommend(histories, 5, features=features),
        loaded.recommend(histories, 5, features=features),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert (loaded.form, loaded.histories) == (servable.form, servable.histories)
    if servable.raw:
        parts = {
            "text": ("", b"a"),
            "image": ("", png()),
            "clip": ("x.gif", gif([np.zeros((8, 8, 3), np.uint8)])),
        }
        np.testing.assert_array_equal(servable.encode(parts), loaded.encode(parts))


def test_a_saved_servable_holds_no_pickle(tmp_path):
    create_servable().save(tmp_path / "model")
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == {"model.keras", "index.zip", "servable.json"}
    for name in ("model.keras", "index.zip"):
        with zipfile.ZipFile(tmp_path / "model" / name) as archive:
            for member in archive.namelist():
                # JSON, HDF5, and arrays that NumPy reads without pickle.
                assert member.endswith((".json", ".h5", ".npy"))
                if member.endswith(".npy"):
                    np.load(io.BytesIO(archive.read(member)), allow_pickle=False)


@pytest.mark.parametrize("name", ["model.keras", "index.zip", "servable.json"])
def test_damage_is_noticed_and_named(name, tmp_path):
    create_servable(content=False).save(tmp_path / "model")
    path = tmp_path / "model" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1 if name != "servable.json" else 0x80
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"Expected a whole folder.*model; "):
        load_servable(tmp_path / "model")
    path.unlink()
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        load_servable(tmp_path / "model")


def test_saving_replaces_nothing_and_leaves_nothing_half_done(tmp_path, monkeypatch):
    servable = create_servable(content=False)
    (tmp_path / "model").mkdir()
    with pytest.raises(FileExistsError, match="There is a"):
        servable.save(tmp_path / "model")

    def full(path):
        raise OSError("disk full")

    monkeypatch.setattr(servable.index, "save", full)
    with pytest.raises(OSError, match="disk full"):
        servable.save(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# --- The journal ----------------------------------------------------------------------------


def test_journal_gives_back_what_it_got(tmp_path):
    parts = {"text": ("", "Grüße".encode()), "image": ("a.png", bytes(range(256)))}
    journal = Journal(tmp_path / "items.db")
    journal.add("b", parts, [1.5])
    journal.add("a", {"text": ("", b"")})
    journal.remove("b")
    journal.remove("came with the model")
    journal.add(2**62, {})
    journal.close()
    journal = Journal(tmp_path / "items.db")
    assert list(journal.items()) == [("a", {"text": ("", b"")}, None), (2**62, {}, None)]
    assert journal.removed() == ["b", "came with the model"]
    journal.add("b", parts, [1.5])
    assert ("b", parts, [1.5]) in list(journal.items())
    assert journal.removed() == ["came with the model"]


def test_journal_is_whole_or_an_error(tmp_path):
    path = tmp_path / "items.db"
    journal = Journal(path)
    with pytest.raises(ValueError, match=r"no other service uses.*items.db"):
        Journal(path)
    for number in range(50):
        journal.add(f"item {number}", {"image": ("", bytes(5000))})
    with pytest.raises(sqlite3.IntegrityError):
        journal.add("item 3", {"image": ("", b"")})
    assert sum(1 for _ in journal.items()) == 50
    journal.close()
    data = bytearray(path.read_bytes())
    path.write_bytes(b"x" * 100 + data[100:])
    with pytest.raises(ValueError, match=r"items\.db"):
        Journal(path)
    data[8192:40960] = os.urandom(32768)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"items\.db"):
        Journal(path)


# --- Over HTTP ------------------------------------------------------------------------------


@contextlib.contextmanager
def serve(load, journal, **options):
    """Serve in a thread, and yield a client."""
    app = create_app(load, journal, **options)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "items.db"


@pytest.fixture
def client(journal):
    with serve(create_servable, journal, max_bytes=2**20) as client:
        yield client


def recommended(client, **question):
    answer = client.post("/recommend", json=question)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def add(client, id, **parts):
    files = {name: part for name, part in parts.items() if isinstance(part, tuple)}
    data = {name: part for name, part in parts.items() if isinstance(part, str)}
    return client.post("/items", data={"id": id, **data}, files=files)


def test_answers_as_the_servable_does(client):
    servable = create_servable()
    for history in (IDS[:3], []):
        (ids,), (scores,) = servable.recommend([history], 5)
        answer = client.post("/recommend", json={"history": history, "k": 5}).json()
        assert [item["id"] for item in answer["items"]] == ids.tolist()
        np.testing.assert_allclose([item["score"] for item in answer["items"]], scores, rtol=1e-5)
    ids, cosines = servable.similar(IDS[7], 10)
    answer = client.get("/similar", params={"item": IDS[7]}).json()["items"]
    assert [item["id"] for item in answer] == ids.tolist()
    np.testing.assert_allclose([item["score"] for item in answer], cosines, rtol=1e-5)
    assert client.get("/healthz").json() == {"items": N, "version": 1}


def test_of_whom_nothing_is_known(client):
    def ask(**question):
        answer = client.post("/recommend", json=question).json()
        return [item["id"] for item in answer["items"]], answer["fallback"]

    nothing = ask(history=[])[0]
    assert ask(user="ann") == (ask(history=[IDS[3], IDS[5]])[0], None)
    assert ask(user="ann")[0] != nothing
    assert ask(user="new") == (nothing, None)
    assert ask(user="bob") == (nothing, "unknown user")
    assert ask(history=["x"]) == (nothing, "no known item in the history")
    assert ask(history=[IDS[1]], exclude=[IDS[2]])[1] is None


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ({"user": "ann", "k": 0}, r"body\.user\.k: .*greater than or equal to 1"),
        ({"history": [], "k": 101}, r"body\.history\.k: .*less than or equal to 100"),
        ({"history": [], "k": 2.5}, r"k: Input should be a valid integer"),
        ({"history": [], "k": 41}, r"k=41, with 40 of 40 items left"),
        ({"history": IDS[:30], "exclude": IDS[30:]}, r"k=10, with 0 of 40"),
        ({"user": "ann", "history": []}, r"body\.user\.history: Extra inputs"),
        ({}, r"body: Expected an object with either `user` or `history`"),
        (3, r"body: Expected an object with either"),
        ({"history": ["x"] * 1001}, r"at most 1000 items"),
        ({"history": [3]}, r"history\.0: Input should be a valid string"),
        ({"history": ["x" * 201]}, r"at most 200 characters"),
        ([], r"body: Expected an object"),
        ({"history": [], "features": [1.0]}, r"features: Extra inputs"),
    ],
)
def test_wrong_questions(client, question, says):
    answer = client.post("/recommend", json=question)
    assert answer.status_code == 422
    assert re.search(says, answer.json()["detail"]), answer.json()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e39", "-1e400", '"x"'])
def test_a_feature_that_is_not_finite_hurts_nobody_else(number, journal):
    with (
        serve(lambda: create_servable(features=2), journal) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        headers = {"content-type": "application/json"}
        bad, good = (f'{{"history": [], "features": [0.5, {n}]}}' for n in (number, 1))
        answers = pool.map(
            lambda body: client.post("/recommend", content=body, headers=headers).status_code,
            [bad, good, good, good] * 8,
        )
        assert list(answers) == [422, 200, 200, 200] * 8


def test_an_item_that_was_never_seen_is_recommended_at_once(client):
    parts = {"text": "a sheep", "image": ("a.png", png()), "audio": ("a.wav", wav(np.arange(800)))}
    answer = add(client, "shop/new", **parts)
    assert answer.status_code == 201
    assert answer.json() == {"items": N + 1, "version": 1}
    servable = create_servable()
    files = {"text": ("", b"a sheep"), "image": ("", png()), "audio": ("", wav(np.arange(800)))}
    servable.add("shop/new", servable.encode(files))
    (ids,), _ = servable.recommend([[IDS[0]]], N)
    assert recommended(client, history=[IDS[0]], k=N) == ids.tolist()
    assert client.get("/similar", params={"item": "shop/new"}).status_code == 200
    assert "shop/new" not in recommended(client, history=["shop/new"], k=N)
    assert add(client, "shop/new", text="again").status_code == 409
    assert client.delete("/items/shop/new").json()["items"] == N
    assert client.delete("/items/shop/new").status_code == 404
    assert client.get("/similar", params={"item": "shop/new"}).status_code == 404
    assert add(client, "shop/new", text="again").status_code == 201


@pytest.mark.parametrize(
    ("parts", "status", "says"),
    [
        ({"image": ("x.png", png(size=(5000, 4000)))}, 413, "too large: Expected at most"),
        ({"image": ("x.png", os.urandom(2**20))}, 413, "Content Too Large"),
        ({"image": ("x.png", b"no picture")}, 422, "not an image"),
        ({"audio": ("x.wav", wav(np.arange(9))[:50])}, 422, "truncated audio"),
        ({"clip": ("x.mp4", b"x")}, 422, "not an mp4"),
        ({"image": "not a file"}, 422, "body.image"),
        ({"text": "x" * 100_001}, 422, "at most 100000 characters"),
        ({}, 422, "Expected at least one of"),
    ],
)
def test_content_that_is_refused_leaves_nothing_behind(client, parts, status, says):
    answer = add(client, "new", **parts)
    assert answer.status_code == status
    assert says in answer.text
    assert client.get("/healthz").json()["items"] == N
    assert add(client, "new", text="fine").status_code == 201


def test_a_body_of_unknown_length_is_limited_too(client):
    def chunks():
        for _ in range(40):
            yield b"x" * 2**16

    headers = {"content-type": "application/json"}
    assert client.post("/recommend", content=chunks(), headers=headers).status_code == 413


def test_a_vector_that_is_not_finite_is_not_kept(journal):
    servable = create_servable()
    servable.encoders = ENCODERS | {"text": lambda texts: np.full((1, 3), np.inf)}
    with serve(lambda: servable, journal) as client:
        answer = add(client, "new", text="x")
        assert answer.status_code == 422
        assert "finite vector" in answer.json()["detail"]
    assert not list(Journal(journal).items())


def test_features_of_items_and_ids_that_are_integers(journal):
    ids = list(range(100, 100 + N))

    def load():
        return create_servable(ids=ids, item_features=2)

    with serve(load, journal) as client:
        assert set(recommended(client, history=[100], k=5)) < set(ids)
        for features in ("[1]", "[1, NaN]", "7", "{", '["x", 1]', "[1e999, 0]"):
            answer = client.post("/items", data={"id": "5", "text": "x", "features": features})
            assert (answer.status_code, "features" in answer.json()["detail"]) == (422, True)
        for id in ("x", str(2**63)):
            answer = client.post("/items", data={"id": id, "text": "x", "features": "[1, 0]"})
            assert answer.status_code == 422
        answer = client.post("/items", data={"id": "5", "text": "x", "features": "[1, 0]"})
        assert answer.status_code == 201
        assert client.get("/similar", params={"item": 5}).status_code == 200
        assert client.post("/recommend", json={"history": ["100"]}).status_code == 422
        assert client.post("/reload").json()["items"] == N + 1


def test_the_key(journal):
    with serve(create_servable, journal, api_key="sëcret") as client:
        assert client.get("/healthz").status_code == 200
        for path in ("/recommend", "/items", "/reload"):
            for headers in ({}, {"X-API-Key": "secret"}):
                assert client.post(path, json={"history": []}, headers=headers).status_code == 401
        assert client.get("/metrics").status_code == 401
        headers = {"X-API-Key": "sëcret".encode()}
        answer = client.post("/recommend", json={"history": []}, headers=headers)
        assert answer.status_code == 200


def test_metrics_count_requests_and_batches(client):
    recommended(client, history=[])
    client.post("/recommend", json={"history": [], "k": 0})
    client.get(f"/similar?item={IDS[0]}")
    client.get("/nowhere")
    client.delete("/items/nothing")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'mmrec_request_seconds_count{method="POST",path="/recommend",status="200"} 1.0',
        'mmrec_request_seconds_count{method="POST",path="/recommend",status="422"} 1.0',
        'mmrec_request_seconds_count{method="GET",path="/similar",status="200"} 1.0',
        'mmrec_request_seconds_count{method="GET",path="other",status="404"} 1.0',
        'mmrec_request_seconds_count{method="DELETE",path="/items/{id:path}",status="404"} 1.0',
        "mmrec_batch_queries_count 1.0",
        "mmrec_items 40.0",
        "mmrec_version 1.0",
    ):
        assert line in lines


def test_many_at_a_time_get_what_each_alone_would(client):
    rng = np.random.default_rng(0)
    questions = [
        {"history": rng.choice(IDS, 4, replace=False).tolist(), "k": int(rng.integers(1, 9))}
        for _ in range(100)
    ]
    alone = [recommended(client, **question) for question in questions]
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda q: recommended(client, **q), questions)) == alone


def test_reload_keeps_what_was_told_and_goes_over_to_the_new_model(journal):
    seeds = iter(range(10))
    servables = []

    def load():
        servables.append(create_servable(seed=next(seeds)))
        return servables[-1]

    with serve(load, journal) as client:
        add(client, "new", text="a sheep")
        client.delete(f"/items/{IDS[0]}")
        before = recommended(client, history=[IDS[1]], k=5)
        assert client.post("/reload").json() == {"items": N, "version": 2}
        assert recommended(client, history=[IDS[1]], k=5) != before
        # It is encoded anew, by the new model.
        again = servables[1].encode({"text": ("", b"a sheep")})
        np.testing.assert_array_equal(servables[1].index.vectors(["new"])[0], again)
        assert IDS[0] not in servables[1].index

    # What has been trained with in the meantime is the model's own.
    def trained_with_it():
        model = create_model()
        return create_servable(model=model, ids=["new", *IDS[1:]])

    with serve(trained_with_it, journal) as client:
        assert client.get("/healthz").json()["items"] == N


def test_a_reload_that_fails_changes_nothing(journal):
    loads = [
        lambda: create_servable(),
        lambda: load_servable("nowhere"),
        lambda: create_servable(content=False),
        lambda: create_servable(features=2),
        lambda: create_servable(seed=1),
    ]
    waiting = iter(loads)
    with serve(lambda: next(waiting)(), journal) as client:
        add(client, "new", text="x")
        before = recommended(client, history=[IDS[0]])
        for says in ("Expected a whole folder", "Of 'new'", "Start a new service"):
            answer = client.post("/reload")
            assert answer.status_code == 409
            assert says in answer.json()["detail"]
            assert recommended(client, history=[IDS[0]]) == before
        assert client.post("/reload").json()["version"] == 2
        assert recommended(client, history=[IDS[0]]) != before


def test_a_reload_frees_what_was_served_before(journal):
    served = []

    def load():
        servable = create_servable(seed=len(served))
        served.append(weakref.ref(servable.model))
        return servable

    with serve(load, journal) as client:
        # What has answered is spared by the garbage collector, until the reload.
        recommended(client, history=[IDS[0]])
        for _ in range(2):
            assert client.post("/reload").status_code == 200
        assert [model() is None for model in served] == [True, True, False]


def test_no_request_is_dropped_by_a_reload(journal):
    seeds = iter(range(100))
    right = {}

    def load():
        servable = create_servable(seed=next(seeds))
        right[len(right) + 1] = servable.recommend([IDS[:2]], 5)[0][0].tolist()
        return servable

    done = threading.Event()

    def ask(client):
        answers = []
        while not done.is_set():
            answer = client.post("/recommend", json={"history": IDS[:2], "k": 5})
            answers.append((answer.status_code, answer.json()))
        return answers

    with serve(load, journal) as client, ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, client) for _ in range(4)]
        try:
            for number in range(3):
                assert client.post("/reload").status_code == 200
                assert add(client, f"new {number}", text="x").status_code == 201
        finally:
            done.set()
        answers = [answer for future in asking for answer in future.result()]
    assert {status for status, _ in answers} == {200}
    assert {answer["version"] for _, answer in answers} == {1, 2, 3, 4}
    for _, answer in answers:
        ids = [item["id"] for item in answer["items"] if not item["id"].startswith("new")]
        assert ids == right[answer["version"]][: len(ids)]


def test_a_killed_service_has_lost_nothing(tmp_path):
    create_servable().save(tmp_path / "model")
    environment = {
        **os.environ,
        "MODEL": str(tmp_path / "model"),
        "JOURNAL": str(tmp_path / "items.db"),
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "tests.serving_app:create"]

    @contextlib.contextmanager
    def process(log):
        with open(log, "wb") as file:
            running = subprocess.Popen(
                [*command, "--port", "0"], env=environment, cwd=ROOT, stderr=file
            )
        try:
            while not (found := re.search(r"running on (http://\S+)", log.read_text())):
                assert running.poll() is None, log.read_text()
                time.sleep(0.05)
            with httpx.Client(base_url=found[1], timeout=60) as client:
                yield running, client
        finally:
            running.kill()
            running.wait()

    kept = []
    with process(tmp_path / "first.log") as (running, client), ThreadPoolExecutor(4) as pool:

        def add_many(worker):
            for number in range(1000):
                with contextlib.suppress(httpx.HTTPError):
                    id = f"{worker} {number}"
                    if add(client, id, image=("x.png", png())).status_code == 201:
                        kept.append(id)
                        continue
                return

        adding = [pool.submit(add_many, worker) for worker in range(4)]
        while len(kept) < 25:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        for future in adding:
            future.result()
    with process(tmp_path / "second.log") as (running, client):
        assert client.get("/healthz").json()["items"] >= N + len(kept)
        found = {client.get("/similar", params={"item": id}).status_code for id in kept}
        assert found == {200}
        # A plea to end is heeded, and the request in flight answered.
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) in (0, -signal.SIGTERM)


def test_every_request_that_the_schema_allows_or_forbids(journal):
    # A schema cannot say what a picture is.
    unclear = [positive_data_acceptance]
    with serve(create_servable, journal, api_key="key", max_k=10) as client:
        schema = schemathesis.openapi.from_url(str(client.base_url.join("/openapi.json")))
        operations = [operation.ok() for operation in schema.get_all_operations()]
        assert len(operations) == 7
        for operation in operations:
            modes = [operation.as_strategy(generation_mode=m) for m in schemathesis.GenerationMode]
            excluded = unclear if operation.path == "/items" else []

            def ask(case):
                case.call_and_validate(headers={"X-API-Key": "key"}, excluded_checks=excluded)  # noqa: B023

            settings = hypothesis.settings(
                max_examples=40,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            settings(hypothesis.given(hypothesis.strategies.one_of(modes))(ask))()


def test_openapi_names_every_part(client):
    schema = client.get("/openapi.json").json()
    body = json.dumps(schema["components"]["schemas"]["Body_add_items_post"])
    assert all(f'"{name}"' in body for name in MODALITIES)
    assert client.get("/docs").status_code == 200


def test_an_index_of_faiss_serves_too(journal):
    def load():
        model = create_model()
        vectors = model.candidate_vectors()
        return create_servable(model=model, index=FaissIndex(IDS, vectors, "IVF4,Flat", "nprobe=4"))

    with serve(load, journal) as client, serve(create_servable, f"{journal}2") as exact:
        for one in (client, exact):
            add(one, "new", text="a sheep")
        questions = [{"history": [id], "k": 5} for id in IDS]
        assert [recommended(client, **q) for q in questions] == [
            recommended(exact, **q) for q in questions
        ]
