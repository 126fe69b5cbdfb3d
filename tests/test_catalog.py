import hashlib
import os
import re
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec_tf.datasets.catalog import ATTRIBUTES, load_catalog, load_catalog_truth
from mmrec_tf.datasets.catalog import descriptions as words
from mmrec_tf.datasets.catalog import shop as shop_module
from mmrec_tf.datasets.catalog import stored as stored_module
from mmrec_tf.datasets.catalog.arithmetic import normal, sine
from mmrec_tf.datasets.catalog.attributes import draw_tastes
from mmrec_tf.datasets.catalog.clips import CYCLES
from mmrec_tf.datasets.catalog.images import SILHOUETTES
from mmrec_tf.datasets.catalog.interactions import END, START, draw_counts, simulate_interactions
from mmrec_tf.datasets.catalog.sounds import render_sounds
from mmrec_tf.datasets.catalog.stored import stored_array
from mmrec_tf.datasets.dataset import Dataset

pytestmark = pytest.mark.usefixtures("empty_cache")
SMALL = {"n_items": 60, "n_users": 40, "seed": 1}
SMALL_SHA256 = "17eb70a264fc6ca5ffc6740b0faadcc80f5d85dc134b28d23d92f713bfa191d0"
DEFAULT_SHA256 = "71e2163e41284d992bf2233f95cecd1cd8a4ec39dad18b0f868d9c5c6c175f6d"
MODALITIES = ("text", "image", "audio", "video")


@pytest.fixture(scope="module")
def shop():
    return load_catalog()


@pytest.fixture(scope="module")
def truth():
    return load_catalog_truth()


# The same bytes everywhere.


def checksum(dataset):
    """Return the SHA-256 of ids, frames, interactions and all content, as hexadecimal digits."""
    digest = hashlib.sha256()
    for frame in (dataset.users, dataset.items, dataset.interactions):
        for column in (frame.index, *(frame[name] for name in frame)):
            digest.update("\n".join(map(str, [column.name, *column.tolist()])).encode())
    for name, modality in dataset.modalities.items():
        for start in range(0, dataset.n_items, 200):
            content = modality[np.arange(start, min(start + 200, dataset.n_items))]
            if name == "text":
                content = np.frombuffer("\n".join(content).encode(), np.uint8)
            digest.update(content.astype(content.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def test_bytes_of_a_small_shop():
    assert checksum(load_catalog(**SMALL)) == SMALL_SHA256


def test_bytes_of_the_default_shop(shop):
    assert checksum(shop) == DEFAULT_SHA256


def test_bytes_without_the_wide_instructions_of_this_processor(tmp_path):
    # NumPy computes with what the processor has; without it, another of its code paths runs.
    code = f"from tests.test_catalog import *; print(checksum(load_catalog(**{SMALL})))"
    features = (
        "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL X86_V3 X86_V4"
    )
    environment = os.environ | {
        "MMREC_TF_CACHE": str(tmp_path),
        "NPY_DISABLE_CPU_FEATURES": features,
    }
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == SMALL_SHA256


def test_sine():
    turns = np.linspace(-3, 3, 10_001)
    np.testing.assert_allclose(sine(turns), np.sin(2 * np.pi * turns), atol=3e-7)


def test_normal():
    values = normal((0, 1), np.arange(100_000))
    assert abs(values.mean()) < 0.02
    assert abs(values.std() - 1) < 0.02
    assert np.abs(values).max() < 3


# The shop.


def test_shop_as_told(shop):
    assert str(shop).startswith("Generated catalogue (seed 0)\n")
    assert shop.n_items == 2000
    assert shop.n_users == 5000
    assert list(shop.items) == ["title", "category", "price", "released"]
    assert list(shop.users) == ["region", "age", "joined"]
    assert list(shop.interactions) == ["user", "item", "timestamp"]
    assert tuple(shop.modalities) == MODALITIES
    assert shop.items.index[42] == "item-00042"
    expected = {
        "text": ((), object, None),
        "image": ((64, 64, 3), np.uint8, None),
        "audio": ((16_000,), np.int16, 16_000),
        "video": ((8, 32, 32, 3), np.uint8, 8),
    }
    for name, (shape, dtype, rate) in expected.items():
        modality = shop.modalities[name]
        assert (modality.shape, modality.dtype, modality.rate) == (shape, np.dtype(dtype), rate)
        assert modality.present.all()
        assert modality[[3, 1]].shape == (2, *shape)


def test_interactions_are_plausible(shop):
    counts = shop.interactions.groupby("user").size()
    assert len(counts) == 5000
    assert counts.min() == 5
    assert 90 <= counts.max() <= 100
    assert 20 < counts.mean() < 22
    assert counts.median() < 0.7 * counts.mean()  # a heavy tail
    popular = shop.interactions.groupby("item").size().sort_values(ascending=False)
    assert 0.3 < popular.iloc[:200].sum() / popular.sum() < 0.5
    # Most items are there from the first day, and new ones come all the time.
    assert 0.55 < (shop.items["released"] < START).mean() < 0.65
    late = shop.items["released"] > START + 0.8 * (END - START)
    assert 0.05 < late.mean() < 0.15
    assert shop.interactions["item"].isin(np.flatnonzero(late)).sum() > 500


@settings(max_examples=25, deadline=None)
@given(n_items=st.integers(50, 300), n_users=st.integers(1, 60), seed=st.integers(0, 2**31 - 1))
def test_no_interaction_before_its_item_or_user_and_none_twice(n_items, n_users, seed):
    shop = load_catalog(n_items=n_items, n_users=n_users, seed=seed)
    log = shop.interactions
    assert (log["timestamp"] >= shop.items["released"].to_numpy()[log["item"]]).all()
    assert (log["timestamp"] >= shop.users["joined"].to_numpy()[log["user"]]).all()
    assert (log["timestamp"] < END).all()
    assert log["timestamp"].is_monotonic_increasing
    assert not log.duplicated(["user", "item"]).any()
    assert log.groupby("user").size().between(1, n_items // 5).all()


def test_another_seed_is_another_shop():
    one, two = load_catalog(**SMALL), load_catalog(**SMALL | {"seed": 2})
    assert not one.items["title"].equals(two.items["title"])
    assert not one.interactions.equals(two.interactions)
    for name in MODALITIES:
        first, second = one.modalities[name][np.arange(5)], two.modalities[name][np.arange(5)]
        assert not np.array_equal(first, second)


@pytest.mark.parametrize("load", [load_catalog, load_catalog_truth])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_items": 49}, ValueError, r"`n_items` in \[50, 2\*\*31\). Received: 49"),
        ({"n_users": 0}, ValueError, r"`n_users` in \[1, 2\*\*31\). Received: 0"),
        ({"seed": -1}, ValueError, r"`seed` in \[0, 2\*\*31\). Received: -1"),
        ({"seed": 2**31}, ValueError, r"`seed` in"),
        ({"n_items": 100.0}, TypeError, r"`n_items` to be an int. Received: 100.0"),
        ({"n_users": "5"}, TypeError, r"`n_users` to be an int. Received: '5'"),
        ({"seed": True}, TypeError, r"`seed` to be an int. Received: True"),
    ],
)
def test_wrong_arguments_are_named(load, arguments, error, message):
    with pytest.raises(error, match=message):
        load(**SMALL | arguments)


def test_numpy_integers_will_do():
    assert load_catalog(n_items=np.int64(60), n_users=np.int32(3), seed=np.uint8(1)).n_items == 60


# Content: kept, rendered when asked, and the same either way.


def content(dataset, items):
    return {name: dataset.modalities[name][items] for name in MODALITIES}


def assert_same(one, two):
    for name in MODALITIES:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_rendered_when_asked_is_the_same_as_kept(monkeypatch):
    items = np.array([59, 0, 7, 7, 33, 12])
    kept = content(load_catalog(**SMALL), items)
    for module in (shop_module, stored_module):
        monkeypatch.setattr(module, "STORED_ITEMS", 0)
    assert_same(content(load_catalog(**SMALL), items), kept)


def test_an_item_is_the_same_in_a_larger_shop():
    items = np.array([59, 3])
    larger = load_catalog(**SMALL | {"n_items": 90})
    assert_same(content(larger, items), content(load_catalog(**SMALL), items))
    assert larger.items.iloc[:60].equals(load_catalog(**SMALL).items)


def test_a_large_shop_renders_only_what_is_asked(monkeypatch, empty_cache):
    rendered = []

    def watch(render):
        return lambda seed, items, *codes: (
            rendered.append(list(items)) or render(seed, items, *codes)
        )

    for name in ("render_images", "render_sounds", "render_clips", "write_descriptions"):
        monkeypatch.setattr(shop_module, name, watch(getattr(shop_module, name)))
    before = set(empty_cache.iterdir())
    large = load_catalog(n_items=50_000, n_users=30)
    assert rendered == []
    content(large, [49_999])
    assert rendered == [[49_999]] * 4
    assert set(empty_cache.iterdir()) == before
    # Of so many items each user meets 4,096, spread over the whole range.
    log = large.interactions
    assert not log.duplicated(["user", "item"]).any()
    assert log["item"].max() > 45_000
    assert log["item"].min() < 5_000


def test_kept_content_is_not_rendered_again(monkeypatch, empty_cache):
    first = content(load_catalog(**SMALL), np.arange(60))

    def fail(*_):
        raise AssertionError("rendered again")

    for name in ("render_images", "render_sounds", "render_clips"):
        monkeypatch.setattr(shop_module, name, fail)
    assert_same(content(load_catalog(**SMALL), np.arange(60)), first)


def ramp(items):
    return np.stack([items, items * 2], axis=1).astype(np.int16)


RAMP = ramp(np.arange(10))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not an array at all, but as long as a header is" * 9),
        lambda path: np.save(path, RAMP.astype(np.uint16) + 1),
        lambda path: np.save(path, RAMP.reshape(20) + 1),
        lambda path: np.save(path, np.asfortranarray(RAMP + 1)),
        lambda path: np.savez(path.open("wb"), RAMP),
    ],
    ids=["short", "long", "empty", "text", "type", "shape", "order", "zip"],
)
def test_a_damaged_or_foreign_file_is_replaced(tmp_path, damage):
    path = tmp_path / "deep" / "ramp.npy"
    stored_array(path, (10, 2), np.int16, ramp)
    damage(path)
    np.testing.assert_array_equal(stored_array(path, (10, 2), np.int16, ramp), RAMP)
    np.testing.assert_array_equal(np.load(path), RAMP)
    assert [file.name for file in path.parent.iterdir()] == ["ramp.npy"]


def test_a_failure_leaves_no_file(tmp_path):
    def interrupted(items):
        if items[0] >= 4:
            raise KeyboardInterrupt
        return ramp(items)

    with pytest.raises(KeyboardInterrupt):
        stored_array(tmp_path / "ramp.npy", (10, 2), np.int16, interrupted, block=4)
    assert list(tmp_path.iterdir()) == []


def test_two_at_a_time_do_no_harm(tmp_path):
    both = threading.Barrier(2, timeout=10)

    def together(items):
        both.wait()
        return ramp(items)

    results = []

    def work():
        results.append(stored_array(tmp_path / "ramp.npy", (10, 2), np.int16, together, block=4))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    for result in results:
        np.testing.assert_array_equal(result, RAMP)


def test_where_an_open_file_cannot_be_replaced_the_other_one_serves(tmp_path, monkeypatch):
    path = tmp_path / "ramp.npy"

    def refuse(part, path):  # as Windows does, when another process has written and opened it
        path.write_bytes(part.read_bytes())
        raise PermissionError("in use")

    monkeypatch.setattr(os, "replace", refuse)
    np.testing.assert_array_equal(stored_array(path, (10, 2), np.int16, ramp), RAMP)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "ramp.npy"
    with pytest.raises(OSError, match=r"keep ramp.npy in .*file. Received: .*MMREC_TF_CACHE"):
        stored_array(path, (10, 2), np.int16, ramp)


# Descriptions.


@pytest.fixture(scope="module")
def texts(shop):
    return shop.modalities["text"][np.arange(2000)].tolist()


def test_a_careful_reader_finds_material_and_use(texts, truth):
    # Written by hand, not taken from the module: what the grammar means by "is made of".
    made = r"(?:(?:made of|(?:cut|built|shaped|made) from|(?:worked|finished|clad|executed) in) )"
    meant = r"(?:(?:meant|made|designed|intended|ideal|thought out|just right|fine choices?) for) "
    named = {
        column: {name: value for value, group in enumerate(names) for name in group}
        for column, names in [("material", words.MATERIALS), ("use", words.USES)]
    }
    longest_first = {
        column: "(" + "|".join(sorted(names, key=len, reverse=True)) + r")\b"
        for column, names in named.items()
    }
    mentions = 0
    for row, text in enumerate(texts):
        # "never intended for" says the opposite.
        lowered = re.sub(r"(was|were) never intended for", "", text)
        lowered = lowered[0].lower() + lowered[1:]
        lowered = re.sub(r"\. (\w)", lambda match: ". " + match[1].lower(), lowered)
        for column, start in [("material", made), ("use", meant)]:
            found = re.findall(start + longest_first[column], lowered)
            assert len(found) == 1, text
            code = truth.attributes[column].cat.codes.iloc[row]
            assert named[column][found[0]] == code, text
            others = [named[column][name] for name in re.findall(longest_first[column], lowered)]
            assert others.count(code) == 1, text
        mentions += len(set(re.findall(longest_first["material"], lowered))) > 1
    assert 0.3 < mentions / len(texts) < 0.8


def test_descriptions_are_varied_and_grammatical(texts):
    assert len(set(texts)) == len(texts)
    many = words.write_descriptions(
        5, np.arange(6000), *np.zeros((3, 6000), np.int64), SILHOUETTES
    ).tolist()
    assert len(set(many)) > 5900  # although material, use and kind are all the same
    for text in texts + many:
        assert re.fullmatch(r"([A-Z][^.]*\.)( [A-Z][^.]*\.){1,3}", text), text
        assert not re.search(
            r"\b[Aa] (?!us|uni)[aeiou]|\b[Aa] honest|\b[Aa]n (?!honest)[^aeiou]", text
        )
        assert not re.search(r"\b([Tt]hey|[Tt]hese \S+) (is|has|comes|looks|goes|was|does)\b", text)
        assert not re.search(r"\b([Ii]t|[Tt]his \S+) (are|have|come|look|go|were|do)\b", text)
        assert "  " not in text
        assert " ," not in text


def test_descriptions_name_nothing_that_another_modality_shows(shop, texts):
    elsewhere = {v for a in ATTRIBUTES if a.modality != "text" for v in a.values}
    elsewhere |= {"colour", "tune", "sound", "music", "picture", "clip", "striped", "dotted"}
    for text in texts + shop.items["title"].tolist():
        assert not elsewhere & set(re.findall(r"[a-z]+", text.lower())), text


# What is visible where.


def image_features(images):
    images = images[:, 16:56, 14:50].astype(np.float32) / 255
    high, low = images.max(-1), images.min(-1)
    red, green, blue = np.moveaxis(images, -1, 0)
    spread = high - low + 1e-6
    hue = np.where(
        high == red,
        (green - blue) / spread % 6,
        np.where(high == green, (blue - red) / spread + 2, (red - green) / spread + 4),
    )
    hues = [(spread**2 * ((hue * 4).astype(int) == step)).sum((1, 2)) for step in range(24)]
    hues = np.stack(hues, axis=1)
    grey = images.mean(-1)[:, 2:34, 2:34]
    grey = (grey - grey.mean((1, 2), keepdims=True)) * np.hanning(32)[:, None] * np.hanning(32)
    waves = np.fft.fftshift(np.log(np.abs(np.fft.rfft2(grey)) + 0.02), axes=1)[:, 4:29, :13]
    return np.hstack([hues / hues.sum(1, keepdims=True), waves.reshape(len(images), -1)])


def text_features(texts):
    bags = [set(re.findall(r"[a-z-]+", text.lower())) for text in texts]
    known = {word: column for column, word in enumerate(sorted(set().union(*bags)))}
    features = np.zeros((len(texts), len(known)), np.float32)
    for row, bag in enumerate(bags):
        features[row, [known[word] for word in bag]] = 1
    return features


def audio_features(sounds):
    sounds = sounds[:, ::2].astype(np.float32) / 2**15
    frames = np.lib.stride_tricks.sliding_window_view(sounds, 256, axis=1)[:, ::128]
    spectrum = np.log(
        np.abs(np.fft.rfft(frames * np.hanning(256).astype(np.float32)))[..., :100] + 0.01
    )
    onsets = np.maximum(np.diff(spectrum, axis=1), 0).mean(2)
    beats = [(onsets[:, lag:] * onsets[:, : onsets.shape[1] - lag]).mean(1) for lag in range(30)]
    beats = np.stack(beats, axis=1) / beats[0][:, None]
    hertz = np.arange(150, 1200)  # one column a hertz, as the sound lasts one second
    power = np.abs(np.fft.rfft(sounds))[:, 150:1200] ** 2
    tone = np.round(12 * np.log2(hertz / 220)).astype(int) % 12
    tones = np.stack([power[:, tone == step].sum(1) for step in range(12)], axis=1)
    tones = np.sqrt(tones / tones.sum(1, keepdims=True))
    chords = [
        (tones * np.roll(tones, -third, 1) * np.roll(tones, -7, 1)).max(1) for third in (3, 4)
    ]
    return np.hstack([spectrum.mean(1), spectrum.std(1), beats, np.stack(chords, axis=1)])


def video_features(clips):
    clips = clips.astype(np.float32) / 255
    thing = np.maximum(clips.max(-1) - clips.min(-1) - 0.3, 0)  # the strong colour alone
    mass = thing.sum((2, 3)) + 1e-3
    line = np.linspace(-1, 1, 32)
    tracks = [
        (thing.sum(2) * line).sum(2) / mass,
        (thing.sum(3) * line).sum(2) / mass,
        np.log(mass),
    ]
    parts = [np.log(np.abs(np.fft.rfft(clips.mean(-1), axis=1))[:, 1:].mean((2, 3)))]
    for track in tracks:
        waves = np.abs(np.fft.rfft(track - track.mean(1, keepdims=True)))[:, 1:]
        parts += [waves, np.log(waves + 0.01), track.std(1, keepdims=True)]
        parts += [np.abs(np.diff(track)).mean(1, keepdims=True), waves**2]
    across, down = (track - track.mean(1, keepdims=True) for track in tracks[:2])
    return np.hstack([*parts, np.abs(across * down).mean(1, keepdims=True)])


@pytest.fixture(scope="module")
def readings(shop, truth):
    """Accuracy of a linear reader: one row an attribute, one column a modality it reads from."""
    extract = {
        "text": text_features,
        "image": image_features,
        "audio": audio_features,
        "video": video_features,
    }
    items = np.arange(1000)
    read, test = items < 700, items >= 700
    table = {}
    for modality in MODALITIES:
        features = extract[modality](shop.modalities[modality][items])
        features = (features - features[read].mean(0)) / (features[read].std(0) + 1e-6)
        features = np.hstack([features, np.ones((1000, 1))])
        x = features[read]
        hat = features[test] @ np.linalg.solve(x.T @ x + 30 * np.eye(x.shape[1]), x.T)
        for attribute in ATTRIBUTES:
            codes = truth.attributes[attribute.name].cat.codes.to_numpy()[items]
            one_hot = np.eye(len(attribute.values))[codes]
            table[attribute.name, modality] = np.mean(
                (hat @ one_hot[read]).argmax(1) == codes[test]
            )
    return pd.Series(table).unstack()[list(MODALITIES)]


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda attribute: attribute.name)
def test_an_attribute_is_visible_in_its_own_modality_alone(readings, attribute):
    chance = 1 / len(attribute.values)
    accuracy = readings.loc[attribute.name]
    assert accuracy[attribute.modality] > 0.6
    assert accuracy[attribute.modality] > 2 * chance
    # 4 standard deviations of the accuracy of guessing for 300 items.
    bound = chance + 4 * np.sqrt(chance * (1 - chance) / 300)
    assert (accuracy.drop(attribute.modality) < bound).all(), accuracy


def test_counting_words_misleads_often(readings):
    assert readings.loc[["material", "use"], "text"].max() < 0.9


def variance_explained(features, targets):
    """Return the share of the variance of each column of `targets` that a linear fit explains."""
    features = np.hstack([features, np.ones((len(features), 1))])
    fit = features @ np.linalg.lstsq(features, targets, rcond=None)[0]
    return 1 - np.var(targets - fit, axis=0).mean() / np.var(targets, axis=0).mean()


def test_columns_of_items_tell_nothing_about_affinity(shop, truth):
    items = shop.items
    names = pd.get_dummies(items["title"].str.split(" ").str[0], dtype=float)
    numbers = items["title"].str.split(" ").str[-1].astype(float)
    columns = np.hstack(
        [
            names,
            pd.get_dummies(items["category"], dtype=float),
            np.column_stack([numbers, items["price"], np.log(items["price"])]),
            pd.qcut(items["released"], 10, labels=False).to_numpy()[:, None] == np.arange(9),
        ]
    )
    affinity = truth.affinity(np.arange(100)).T
    rng = np.random.default_rng(0)
    shuffled = [variance_explained(columns[rng.permutation(2000)], affinity) for _ in range(15)]
    assert variance_explained(columns, affinity) < np.mean(shuffled) + 3 * np.std(shuffled)
    # The test can tell: one hidden attribute of eight among the columns, and it fails.
    colour = pd.get_dummies(truth.attributes["colour"], dtype=float)
    leak = variance_explained(np.hstack([columns, colour]), affinity)
    assert leak > np.mean(shuffled) + 30 * np.std(shuffled)


def test_region_tells_a_little_about_taste_and_age_nothing(shop, truth):
    tastes = np.hstack(list(truth.tastes.values()))
    region = variance_explained(pd.get_dummies(shop.users["region"], dtype=float), tastes)
    assert 0.05 < region < 0.15
    ages = pd.get_dummies(pd.qcut(shop.users["age"], 6, labels=False), dtype=float)
    assert variance_explained(ages, tastes) < 0.005


# The truth.


def test_affinity_by_hand(truth):
    users, items = [7, 4999], [0, 1999, 3]
    scores = truth.affinity(users, items)
    bare = truth.affinity(users, items, popularity=False)
    for (row, user), (column, item) in [(u, i) for u in enumerate(users) for i in enumerate(items)]:
        by_hand = sum(
            truth.tastes[a.name][user, a.values.index(truth.attributes[a.name].iloc[item])]
            for a in ATTRIBUTES
        )
        assert bare[row, column] == pytest.approx(by_hand, rel=1e-12)
        with_popularity = by_hand + truth.popularity[item]
        assert scores[row, column] == pytest.approx(with_popularity, rel=1e-12)
    each = truth.affinity(users, [[0, 3], [1999, 0]])  # other items for each user
    np.testing.assert_array_equal(each, [scores[0, [0, 2]], scores[1, [1, 0]]])
    assert truth.affinity([7]).shape == (1, 2000)
    with pytest.raises(ValueError, match="Expected 2 rows of `items`"):
        truth.affinity(users, [[0], [1], [2]])
    with pytest.raises(IndexError, match=r"`items` in \[0, 2000\)"):
        truth.affinity([0], [2000])
    with pytest.raises(TypeError, match="`users` to be row numbers"):
        truth.affinity(["user-00007"])


def test_each_modality_weighs_the_same(truth):
    for modality in MODALITIES:
        variance = sum(
            truth.tastes[a.name][:, truth.attributes[a.name].cat.codes].var(axis=1).mean()
            for a in ATTRIBUTES
            if a.modality == modality
        )
        assert 1.85 < variance < 2.15


def test_attributes_are_independent_and_even(truth):
    for one, two in pairwise(ATTRIBUTES):
        table = pd.crosstab(truth.attributes[one.name], truth.attributes[two.name])
        expected = 2000 / table.size
        chi2 = ((table - expected) ** 2 / expected).to_numpy().sum()
        freedom = table.size - 1
        assert abs(chi2 - freedom) < 5 * np.sqrt(2 * freedom)


def test_true_features(truth):
    assert truth.features().shape == (2000, sum(len(a.values) for a in ATTRIBUTES))
    assert truth.features().dtype == np.float32
    assert (truth.features().sum(1) == 8).all()
    image = truth.features("image")
    assert image.shape == (2000, 14)
    teal = (truth.attributes["colour"] == "teal").to_numpy()
    np.testing.assert_array_equal(image[:, 4] == 1, teal)
    both = np.hstack([image, truth.features("audio")])
    np.testing.assert_array_equal(truth.features(["image", "audio"]), both)
    with pytest.raises(ValueError, match=r"modalities among \[.*'smell'"):
        truth.features(["image", "smell"])


def test_the_shop_holds_no_truth(shop):
    hidden = {attribute.name for attribute in ATTRIBUTES}
    for frame in (shop.users, shop.items, shop.interactions):
        assert not hidden & set(frame)
    assert {field for field in vars(shop)} == {
        "name",
        "users",
        "items",
        "interactions",
        "modalities",
    }
    assert type(shop) is Dataset


def test_speeds_differ_by_more_than_their_jitter():
    assert (CYCLES[1:] * 0.92 > CYCLES[:-1] * 1.08 * 1.5).all()
    assert CYCLES[-1] * 1.08 < 8 / 2  # as many frames as it takes to see it


def test_sounds_are_in_tune_and_do_not_click():
    items = np.arange(80)
    mood = items % 4
    sounds = render_sounds(3, items, np.zeros(80, np.int64), mood)  # the flute
    assert (np.abs(sounds[:, [0, -1]]) <= 1).all()
    assert np.abs(sounds.astype(int)).max() < 2**15 - 1
    for sound, minor in zip(sounds.astype(float), mood % 2 == 1, strict=True):
        strength = np.abs(np.fft.rfft(sound))[:700]  # one column a hertz, overtones left out
        peaks = np.flatnonzero(
            (strength > np.roll(strength, 1))
            & (strength > np.roll(strength, -1))
            & (strength > strength.max() / 3)
        )
        semitones = 12 * np.log2(peaks / 220)
        # Roots are A, B, C or D; every note is one of the chord's, to a third of a semitone.
        assert any(
            all(
                min(abs(semitone - root - place) for place in (0, 3 if minor else 4, 7, 12)) < 0.34
                for semitone in semitones
            )
            for root in (0, 2, 3, 5)
        ), semitones


# How interactions arise.


def simulate(affinity, counts, joined, released, **options):
    joined, released = np.array(joined), np.array(released)
    return simulate_interactions(
        0, lambda u, i: affinity[u][:, i], np.array(counts), joined, released, **options
    )


def test_without_noise_users_pick_what_they_like_best():
    affinity = normal((1, 2), np.arange(30)[:, None], np.arange(50))
    counts = np.arange(30) % 7 + 1
    log = simulate(affinity, counts, [START] * 30, [START] * 50, noise=0.0)
    for user, count in enumerate(counts):
        best = np.argsort(-affinity[user])[:count]
        assert set(log["item"][log["user"] == user]) == set(best)


def test_an_item_is_met_by_a_share_of_users_that_shrinks_with_its_age():
    middle = (START + END) // 2
    log = simulate(
        np.ones((2000, 5)), [5] * 2000, [START] * 2000, [START, START, middle, END - 1, START]
    )
    met = log.groupby("item").size().reindex(range(5), fill_value=0)
    assert met[[0, 1, 4]].tolist() == [2000] * 3  # who may not meet five picks what they meet
    assert 0.45 < met[2] / 2000 < 0.55
    assert met[3] == 0
    assert log["timestamp"][log["item"] == 2].min() >= middle


def test_counts():
    counts = draw_counts(0, 20_000, at_most=1000)
    assert counts.min() == 5
    assert counts.max() == 100
    assert 20.5 < counts.mean() < 21.5
    assert draw_counts(0, 100, at_most=10).max() == 10


def test_a_region_shifts_tastes_alike():
    attribute = ATTRIBUTES[0]
    tastes = draw_tastes(0, attribute, 4, np.array([1, 1, 2, 1]), region_share=1.0)
    np.testing.assert_array_equal(tastes[0], tastes[1])
    assert not np.array_equal(tastes[0], tastes[2])


# How good recommendations can be.


def recall_at_20(scores, positives, seen):
    """Return each user's recall@20, for users with positives; seen items are not ranked."""
    scores = np.where(seen, -np.inf, scores)
    top = np.argpartition(-scores, 20, axis=1)[:, :20]
    hits = np.take_along_axis(positives, top, axis=1).sum(1)
    has = positives.sum(1) > 0
    return hits[has] / positives.sum(1)[has]


@pytest.fixture(scope="module")
def cold(shop, truth):
    """Recall@20 of each user for a fifth of the items, held out and ranked among themselves."""
    log = shop.interactions
    chosen = np.zeros((5000, 2000), np.float32)
    chosen[log["user"], log["item"]] = 1
    held_out = np.random.default_rng(0).permutation(2000) < 400
    test, seen = chosen[:, held_out] > 0, np.zeros((1, 1), bool)
    users = np.arange(5000)
    held = np.flatnonzero(held_out)
    recall = {
        "random": np.random.default_rng(1).random(test.shape),
        "content-only oracle": truth.affinity(users, held, popularity=False),
        "oracle": truth.affinity(users, held),
    }
    for modality in MODALITIES:
        recall[modality] = ridge(truth.features(modality), chosen, held_out)
    for n in (2, 3, 4):
        recall[n] = ridge(truth.features(MODALITIES[:n]), chosen, held_out)
    return {name: recall_at_20(scores, test, seen) for name, scores in recall.items()}


def ridge(features, chosen, held_out):
    """Score held-out items by one ridge regression a user on the others' features."""
    x = features[~held_out]
    inverse = np.linalg.inv(x.T @ x + 100 * np.eye(x.shape[1]))
    return (chosen[:, ~held_out] @ x) @ inverse @ features[held_out].T


def clearly_more(one, other):
    """Tell whether the mean of paired differences is more than five standard errors over 0."""
    difference = one - other
    return difference.mean() > 5 * difference.std() / np.sqrt(len(difference))


def test_each_modality_alone_is_far_better_than_chance_for_new_items(cold):
    assert cold["random"].mean() == pytest.approx(20 / 400, abs=0.005)
    for modality in MODALITIES:
        assert cold[modality].mean() > 2 * cold["random"].mean()


def test_each_further_modality_adds_recall(cold):
    steps = [cold["random"], cold["text"], cold[2], cold[3], cold[4]]
    steps += [cold["content-only oracle"], cold["oracle"]]
    for fewer, more in pairwise(steps):
        assert clearly_more(more, fewer)
    means = np.array([step.mean() for step in steps])
    assert (np.diff(means) > 0.03).all()


def test_the_oracle_leaves_room_and_is_not_perfect(shop, truth):
    log = shop.interactions
    rank = log.groupby("user")["timestamp"].rank(method="first", pct=True)
    seen, test = np.zeros((2, 5000, 2000), bool)
    for mask, rows in [(seen, log[rank <= 0.8]), (test, log[rank > 0.8])]:
        mask[rows["user"], rows["item"]] = True
    oracle = recall_at_20(truth.affinity(np.arange(5000)), test, seen).mean()
    popularity = recall_at_20(np.tile(seen.sum(0), (5000, 1)), test, seen).mean()
    assert 0.35 < oracle < 0.45
    assert popularity < oracle / 4
