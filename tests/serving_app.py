"""A small servable with text, pictures and sound, for the tests and for the processes they start.

`uvicorn --factory tests.serving_app:create` serves the folder `MODEL`, with the journal `JOURNAL`.
"""

import os

import keras
import numpy as np

from mmrec_tf import ItemIndex, Modality
from mmrec_tf.fusion import GatedFusion
from mmrec_tf.serving import Servable, create_app, load_servable
from mmrec_tf.two_tower import CandidateTower, QueryTower, TwoTower

N = 40
IDS = [f"item {number}" for number in range(N)]
RATE = 8000
MODALITIES = {
    "text": Modality.from_array(np.array([f"thing {n}" for n in range(N)], object)),
    "image": Modality.from_array(np.zeros((N, 8, 8, 3), np.uint8)),
    "audio": Modality.from_array(np.zeros((N, RATE // 10), np.int16), rate=RATE),
    "clip": Modality.from_array(np.zeros((N, 2, 8, 8, 3), np.uint8)),
}


def text_vectors(texts):
    return np.array([[len(text) / 10, text.count("e"), 1] for text in texts])


def mean_colours(images):
    return images.mean(axis=(1, 2)) / 128


def loudness(sounds):
    return np.abs(sounds.astype(float)).mean(axis=1, keepdims=True) / 2**13


def brightness(clips):
    return clips.mean(axis=(2, 3, 4)) / 128


ENCODERS = {
    "text": text_vectors,
    "image": mean_colours,
    "audio": loudness,
    "clip": brightness,
}


def create_model(*, seed=0, normalize=False, content=True, features=0, item_features=0):
    """Return a model whose weights are large enough for lists to differ."""
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    options = {}
    if content:
        options["content"] = {
            name: ENCODERS[name](modality[np.arange(N)]).astype("float32")
            for name, modality in MODALITIES.items()
        }
    if item_features:
        options["features"] = rng.normal(size=(N, item_features)).astype("float32")
    model = TwoTower(
        QueryTower(N, 8, normalize=normalize, seed=0),
        CandidateTower(N, 8, normalize=normalize, fusion=GatedFusion(8) if content else None),
        counts=np.ones(N),
        **options,
    )
    queries = {"history": np.zeros((1, 2), np.int32)}
    if features:
        queries["features"] = np.zeros((1, features), np.float32)
    model(queries)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape))
    return model


def create_servable(*, ids=IDS, model=None, index=None, **options):
    model = create_model(**options) if model is None else model
    index = ItemIndex(ids, model.candidate_vectors()) if index is None else index
    return Servable(
        model,
        ids,
        index,
        modalities=MODALITIES if model.content else {},
        encoders=ENCODERS if model.content else {},
        histories={"ann": [ids[3], ids[5]], "new": []},
    )


def create():
    return create_app(
        lambda: load_servable(os.environ["MODEL"], encoders=ENCODERS), os.environ["JOURNAL"]
    )
