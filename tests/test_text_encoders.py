import json
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import erf, softmax

from mmrec_tf.encoders import text as text_module
from mmrec_tf.encoders.text import (
    ClauseEncoder,
    PooledTextEncoder,
    TransformerBlock,
    TransformerTextEncoder,
    Vocabulary,
    clause_vectors,
    skip_gram,
    split_clauses,
    tokenize,
)

SIZE = 12
IDS = np.array([[2, 3, 4, 5, 2], [6, 7, 0, 0, 0], [11, 1, 8, 9, 10], [0, 0, 0, 0, 0]], np.int32)


def pooled(**kwargs):
    return PooledTextEncoder(SIZE, 8, embedding_dim=6, **kwargs)


def transformer(**kwargs):
    return TransformerTextEncoder(SIZE, 8, max_length=9, n_heads=2, **kwargs)


ENCODERS = [pooled, transformer]


@pytest.fixture(params=ENCODERS)
def encoder(request):
    keras.utils.set_random_seed(0)
    layer = request.param()
    layer(IDS)
    return layer


# --- Words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's HAND-made, 40cm (approx.)!", ["it's", "hand", "made", "40cm", "approx"]),
        ("don’t 'quote' it", ["don't", "quote", "it"]),
        ("snake_case a.b", ["snake", "case", "a", "b"]),
        ("Café cafe\u0301 STRAẞE", ["café", "café", "straße"]),
        ("ＦＵＬＬ ﬁne", ["full", "fine"]),
        ("这款wool毯子2条装。", ["这", "款", "wool", "毯", "子", "2", "条", "装"]),
        ("ひらカナ漢字", ["ひ", "ら", "カ", "ナ", "漢", "字"]),
        ("나무 의자", ["나무", "의자"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("เก้าอี้", ["เ", "ก", "\u0e49", "า", "อ", "\u0e35", "\u0e49"]),
        ("𠀀 🙂 --- '", ["𠀀"]),
        ("", []),
    ],
)
def test_tokenize(text, tokens):
    assert tokenize(text) == tokens


@given(st.text())
def test_tokens_of_tokens_are_themselves(text):
    tokens = tokenize(text)
    assert tokenize(" ".join(tokens)) == tokens
    assert all(token and not any(c.isspace() for c in token) for token in tokens)


def test_vocabulary_is_ordered_by_count_then_alphabet():
    texts = ["b b b c", "a c", "z"]
    assert Vocabulary.fit(texts).words == ("b", "c", "a", "z")
    assert Vocabulary.fit(texts, max_size=2).words == ("b", "c")
    assert Vocabulary.fit(texts, min_count=2).words == ("b", "c")
    assert len(Vocabulary.fit(texts)) == 6
    assert Vocabulary.fit(iter(texts)) == Vocabulary.fit(reversed(texts))


def test_encode():
    vocabulary = Vocabulary.fit(["wool rug", "a rug", "羊毛"])
    ids = vocabulary.encode(["A wool rug.", "silk rug", "", "羊绒"], length=4)
    assert vocabulary.words == ("rug", "a", "wool", "毛", "羊")
    np.testing.assert_array_equal(ids, [[3, 4, 2, 0], [1, 2, 0, 0], [0] * 4, [6, 1, 0, 0]])
    assert ids.dtype == np.int32
    assert vocabulary.encode([], length=3).shape == (0, 3)


@given(st.lists(st.text(alphabet="ab 羊'é", max_size=8), min_size=1, max_size=5))
def test_what_was_fit_on_is_known_and_can_be_read_back(texts):
    words = [tokenize(text) for text in texts]
    if not any(words):
        return
    vocabulary = Vocabulary.fit(texts)
    ids = vocabulary.encode(texts, length=8)
    back = [[vocabulary.words[i - 2] for i in row if i > 0] for row in ids]
    assert back == words
    assert not (ids == 1).any()
    assert ids.max() == len(vocabulary) - 1
    counts = Counter(word for row in words for word in row)
    assert sorted(counts) == sorted(vocabulary.words)


def test_longer_texts_are_cut_aloud():
    vocabulary = Vocabulary(("a", "b", "c"))
    with pytest.warns(UserWarning, match=r"1 of 2 texts are longer than 2 tokens.*longest has 3"):
        ids = vocabulary.encode(["c b a", "a b"], length=2)
    np.testing.assert_array_equal(ids, [[4, 3], [2, 3]])


def test_vocabulary_is_saved_as_readable_json(tmp_path):
    vocabulary = Vocabulary.fit(["羊毛 café rug rug"])
    vocabulary.save(tmp_path / "words.json")
    assert Vocabulary.load(tmp_path / "words.json") == vocabulary
    content = (tmp_path / "words.json").read_bytes().decode("utf-8")
    assert "羊" in content
    assert json.loads(content) == {"words": ["rug", "café", "毛", "羊"]}


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"words": "ab"}', '{"words": ["a", 1]}'])
def test_files_that_hold_no_vocabulary(tmp_path, content):
    path = tmp_path / "words.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"Expected .*words\.json to be JSON of the form"):
        Vocabulary.load(path)


def test_vocabulary_names_what_is_wrong():
    with pytest.raises(ValueError, match=r"distinct words. Received twice: 'b'"):
        Vocabulary(("a", "b", "b"))
    with pytest.raises(ValueError, match=r"at least 3 times.*2 different words and max_size=None"):
        Vocabulary.fit(["a b"], min_count=3)
    with pytest.raises(ValueError, match="max_size=0"):
        Vocabulary.fit(["a b"], max_size=0)
    with pytest.raises(TypeError, match="Received: one str, 'a wool rug'"):
        Vocabulary.fit("a wool rug")
    with pytest.raises(TypeError, match="Received: nan at position 1"):
        Vocabulary(("a",)).encode(["a", float("nan")], length=2)


# --- Skip-gram --------------------------------------------------------------------------------


@given(
    arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 6)), elements=st.integers(0, 4)),
    st.integers(1, 7),
    st.integers(0, 99),
)
def test_pairs_are_those_of_a_plain_loop(ids, window, seed):
    reach = np.random.default_rng(seed).integers(1, window + 1, ids.shape)
    expected = Counter()
    for row, reach_of_row in zip(ids, reach, strict=True):
        words = [(word, r) for word, r in zip(row, reach_of_row, strict=True) if word]
        for i, (word, r) in enumerate(words):
            for j, (other, _) in enumerate(words):
                if i != j and abs(i - j) <= r:
                    expected[int(word), int(other)] += 1
    centres, contexts = text_module._pairs(ids, reach)
    assert Counter(zip(centres.tolist(), contexts.tolist(), strict=True)) == expected


def test_loss_by_hand():
    # A logit of 0 costs log 2 whatever the label is; a large one of the right sign nothing.
    labels = np.array([[1, -1, 0], [1, -1, -1]], "float32")
    logits = np.array([[0, 0, 9], [50, -50, 3]], "float32")
    loss = text_module._skip_gram_loss(labels, logits)
    np.testing.assert_allclose(loss, [2 * np.log(2), np.log(1 + np.exp(3))], rtol=1e-6)


class Recorder:
    """Stands for the model, and keeps what it is trained on."""

    def __init__(self):
        self.inputs, self.labels = [], []

    def compile(self, *args, **kwargs):
        pass

    def fit(self, inputs, labels, **kwargs):
        self.inputs.append(inputs)
        self.labels.append(labels)

    def get_layer(self, name):
        layer = keras.layers.Embedding(6, 2)
        layer.build(None)
        return layer


@pytest.fixture
def recorder(monkeypatch):
    model = Recorder()
    monkeypatch.setattr(text_module, "_skip_gram_model", lambda *args: model)
    return model


def test_negatives_are_drawn_by_counts_to_three_quarters(recorder):
    row = np.repeat([1, 2, 3, 4], [1, 81, 16, 2])
    skip_gram(row[None], 6, subsample=1, epochs=3, window=9, batch_size=100, negatives=4)
    words = np.concatenate([words for _, words in recorder.inputs])
    labels = np.concatenate(recorder.labels)
    expected = np.array([0, 1, 27, 8, 2**0.75, 0])
    drawn = np.bincount(words[:, 1:].ravel(), minlength=6) / words[:, 1:].size
    np.testing.assert_allclose(drawn, expected / expected.sum(), atol=0.01)
    assert drawn[[0, 5]].tolist() == [0, 0]
    # A negative that is the very word that was there says nothing.
    same = words[:, 1:] == words[:, :1]
    assert same.any()
    np.testing.assert_array_equal(labels[:, 1:], np.where(same, 0, -1))
    assert (labels[:, 0] == 1).all()
    assert all(len(words) % 100 == 0 for _, words in recorder.inputs)


def test_every_pair_is_seen(recorder):
    skip_gram(np.array([[2, 3, 4, 0]]), 6, subsample=1, epochs=1, window=1, batch_size=3)
    [(centres, words)] = recorder.inputs
    pairs = set(zip(centres.tolist(), words[:, 0].tolist(), strict=True))
    assert pairs == {(2, 3), (3, 2), (3, 4), (4, 3)}


def test_frequent_words_are_left_out_more_often(recorder):
    # Shares 0.9 and 0.1; kept with probability √(0.1 / 0.9) = 1/3 and 1.
    row = np.resize([2] * 9 + [3], 3000)
    skip_gram(row[None], 6, subsample=0.1, epochs=1, window=1, batch_size=1)
    centres, _ = recorder.inputs[0]
    # Of 1,200 words that are left, each but the outer ones is a centre twice.
    counts = np.bincount(centres, minlength=4)
    assert counts[3] == pytest.approx(600, abs=2)
    assert counts[2] == pytest.approx(1800, rel=0.06)


def topics():
    """Texts about one of two things, whose words, 2 to 9 and 10 to 17, no text mixes."""
    rng = np.random.default_rng(0)
    return rng.integers(2, 10, (400, 6)) + np.repeat([0, 8], 200)[:, None]


def test_words_of_one_topic_have_like_vectors():
    vectors = skip_gram(topics(), 20, dim=8, negatives=2, subsample=1, batch_size=256)
    assert vectors.shape == (20, 8)
    assert vectors.dtype == np.float32
    assert not vectors[[0, 1, 18, 19]].any()  # Padding, and words that no text has.
    directions = vectors[2:18] / np.linalg.norm(vectors[2:18], axis=1, keepdims=True)
    similarity = directions @ directions.T
    same = np.kron(np.eye(2), np.ones((8, 8))).astype(bool)
    assert similarity[same].min() > 0.8
    assert similarity[~same].max() < 0.2


def test_converges_to_shifted_pointwise_mutual_information(monkeypatch):
    """With enough dimensions, a pair's logit becomes what Levy and Goldberg (2014) derive."""
    models = []
    make = text_module._skip_gram_model

    def remember(*args):
        models.append(make(*args))
        return models[-1]

    monkeypatch.setattr(text_module, "_skip_gram_model", remember)
    rng = np.random.default_rng(0)
    ids = np.where(rng.random((400, 10)) < 0.3, 2, rng.integers(2, 6, (400, 10)))
    ids[:, 1::2] = np.where(rng.random((400, 5)) < 0.5, ids[:, ::2], ids[:, 1::2])
    settings = {"window": 1, "negatives": 2, "subsample": 1, "batch_size": 2048}
    skip_gram(ids, 6, dim=6, epochs=60, learning_rate=0.01, **settings)
    [model] = models
    v, u = model.get_layer("vectors").get_weights()[0], model.get_layer("contexts").get_weights()[0]

    together = np.zeros((6, 6))
    centres, contexts = text_module._pairs(ids, np.ones_like(ids))
    np.add.at(together, (centres, contexts), 1)
    noise = np.bincount(ids.ravel(), minlength=6) ** 0.75
    noise /= noise.sum()
    # As a negative, a word meets a centre in all its pairs but those with the word itself.
    apart = 2 * noise * (together.sum(axis=1, keepdims=True) - together)
    expected = np.log(together[2:, 2:] / apart[2:, 2:])
    np.testing.assert_allclose((v @ u.T)[2:, 2:], expected, atol=0.1)
    assert np.ptp(expected) > 1


def test_skip_gram_depends_on_its_seed_alone():
    first = skip_gram(topics(), 20, dim=4, epochs=1)
    keras.utils.set_random_seed(77)
    np.testing.assert_array_equal(skip_gram(topics(), 20, dim=4, epochs=1), first)
    assert not np.allclose(skip_gram(topics(), 20, dim=4, epochs=1, seed=1), first)


def test_an_epoch_without_a_pair_is_no_fault(recorder):
    skip_gram(np.array([[2, 3]]), 6, subsample=1e-9, epochs=3)
    assert recorder.inputs == []


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([2, 3], r"integers of shape \(n_texts, length\). Received: int64 of shape \(2,\)"),
        ([[0.5, 2.0]], "Received: float64"),
        ([[2, 6]], r"`ids` in \[0, 6\). Received: 2 to 6"),
        ([[-1, 2]], "Received: -1 to 2"),
        ([[2, 0], [3, 0]], "a text of at least two words. Received: none"),
        (np.empty((0, 3), int), "Received: none"),
    ],
)
def test_skip_gram_names_what_is_wrong(ids, message):
    with pytest.raises(ValueError, match=message):
        skip_gram(ids, 6)


# --- Both encoders ----------------------------------------------------------------------------


def test_shape(encoder):
    assert encoder(IDS).shape == (4, 8)
    assert encoder.compute_output_shape((None, 5)) == (None, 8)


def test_padding_never_changes_the_result(encoder):
    expected = np.array(encoder(IDS))
    for n in (1, 4):
        padded = np.pad(IDS, ((0, 0), (0, n)))
        np.testing.assert_allclose(encoder(padded), expected, atol=1e-6)
    # Nor do the other texts of the batch.
    for row, vector in zip(IDS, expected, strict=True):
        np.testing.assert_allclose(encoder(row[None])[0], vector, atol=1e-6)


def test_every_word_counts(encoder):
    before = np.array(encoder(IDS))
    for row, column in np.argwhere(IDS > 0):
        changed = IDS.copy()
        changed[row, column] = IDS[row, column] % (SIZE - 1) + 1
        moved = np.abs(encoder(changed) - before).max(axis=1) > 1e-6
        np.testing.assert_array_equal(moved, np.arange(4) == row)


def test_a_text_without_words_is_finite(encoder):
    ids = tf.constant(IDS)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder(ids) ** 2)
    assert np.isfinite(loss)
    for weight, gradient in zip(
        encoder.trainable_variables,
        tape.gradient(loss, [w.value for w in encoder.trainable_variables]),
        strict=True,
    ):
        gradient = np.array(tf.convert_to_tensor(gradient))
        assert np.isfinite(gradient).all(), weight.path
        assert np.abs(gradient).max() > 1e-8, weight.path


@pytest.mark.parametrize("make", ENCODERS)
def test_finite_in_half_precision(make):
    keras.utils.set_random_seed(0)
    layer = make(dtype="mixed_float16")
    layer(IDS)
    layer.set_weights([w * 3 for w in layer.get_weights()])
    out = layer(np.resize(IDS, (4, 9)))
    assert keras.backend.standardize_dtype(out.dtype) == "float16"
    assert np.isfinite(np.array(out, "float32")).all()


def test_a_long_text_stays_in_the_range_of_half_precision():
    layer = PooledTextEncoder(4, 2, embedding_dim=3, vectors=np.full((4, 3), 100), dtype="float16")
    layer(np.zeros((1, 1), int))
    layer.out.set_weights([np.ones((3, 2)), np.zeros(2)])
    np.testing.assert_array_equal(layer(np.full((1, 2000), 2)), [[300, 300]])


@pytest.mark.parametrize("make", ENCODERS)
def test_saved_and_loaded_is_the_same(make, tmp_path):
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, make()(ids))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(IDS, verbose=0)
    np.testing.assert_array_equal(loaded.predict(IDS, verbose=0), expected)
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()


def train(layer, ids, labels, *, epochs):
    """Return the loss on what was trained on, log 2 for a guess."""
    inputs = keras.Input((ids.shape[1],), dtype="int32")
    model = keras.Model(inputs, keras.layers.Dense(1, name="answer")(layer(inputs)))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=True)
    return model.fit(ids, labels, batch_size=50, epochs=epochs, verbose=0).history["loss"][-1]


@pytest.mark.parametrize("make", ENCODERS)
def test_learns_which_word_a_text_has(make):
    keras.utils.set_random_seed(0)
    ids = np.random.default_rng(0).integers(2, SIZE, (200, 5))
    assert train(make(), ids, (ids == 7).any(axis=1), epochs=15) < 0.1


def order_of_two_words():
    rng = np.random.default_rng(0)
    ids = rng.permuted(np.tile(np.arange(2, 7), (200, 1)), axis=1)
    return ids, (ids == 2).argmax(axis=1) < (ids == 3).argmax(axis=1)


def test_order_is_seen_by_the_transformer_alone():
    ids, first = order_of_two_words()
    keras.utils.set_random_seed(0)
    assert train(transformer(), ids, first, epochs=40) < 0.1
    assert train(pooled(), ids, first, epochs=15) > 0.6


@pytest.mark.parametrize("make", ENCODERS)
def test_inputs_that_are_no_ids(make):
    with pytest.raises(ValueError, match=r"`ids` of shape \(batch, length\). Received: \(4,\)"):
        make()(IDS[:, 0])
    with pytest.raises(TypeError, match=r"`ids` to be integers. Received: float32"):
        make()(IDS.astype("float32"))


# --- Each encoder -----------------------------------------------------------------------------


def test_pooled_by_hand():
    vectors = np.arange(SIZE * 6).reshape(SIZE, 6).astype("float32")
    layer = pooled(vectors=vectors)
    layer(IDS)
    kernel = np.eye(6, 8)
    layer.out.set_weights([kernel, np.full(8, 0.5)])
    expected = [vectors[[2, 3, 4, 5, 2]].mean(0), vectors[[6, 7]].mean(0)]
    expected += [vectors[[11, 1, 8, 9, 10]].mean(0), np.zeros(6)]
    np.testing.assert_allclose(layer(IDS), np.array(expected) @ kernel + 0.5, rtol=1e-6)


def test_vectors_to_start_from_are_trained_and_saved(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(SIZE, 6)).astype("float32")
    layer = pooled(vectors=vectors)
    ids = np.random.default_rng(0).integers(2, SIZE, (50, 5))
    train(layer, ids, (ids == 7).any(axis=1), epochs=2)
    moved = np.abs(layer.embedding.get_weights()[0] - vectors).max(axis=1)
    assert (moved[2:] > 0).all()
    assert (moved[:2] == 0).all()
    with pytest.raises(ValueError, match=r"shape \(12, 6\).*Received: shape \(12, 5\)"):
        pooled(vectors=vectors[:, :5])


def test_pooled_takes_words_in_any_order():
    layer = pooled()
    np.testing.assert_allclose(layer(IDS[:, ::-1].copy()), layer(IDS), atol=1e-6)


def test_transformer_does_not():
    layer = transformer()
    difference = np.abs(layer(IDS[:1, ::-1].copy()) - layer(IDS[:1]))
    assert difference.max() > 1e-3


def layer_norm(x, gamma, beta):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-3) * gamma + beta


def test_block_agrees_with_its_formulas():
    rng = np.random.default_rng(0)
    block = TransformerBlock(8, n_heads=2)
    tokens = rng.normal(size=(3, 4, 8)).astype("float32")
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]], bool)
    block(tokens, mask)
    block.set_weights([rng.normal(size=w.shape) for w in block.get_weights()])
    w = {weight.path.split("/", 1)[1]: weight.numpy() for weight in block.weights}

    x = layer_norm(tokens, w["norm_1/gamma"], w["norm_1/beta"])
    q, k, v = (
        np.einsum("btd,dhk->bhtk", x, w[f"heads/{name}/kernel"])
        for name in ("query", "key", "value")
    )
    scores = np.einsum("bhik,bhjk->bhij", q, k) / np.sqrt(4)
    weights = softmax(np.where(mask[:, None, None], scores, -np.inf), axis=-1)
    taken = np.einsum("bhij,bhjk->bihk", weights, v)
    y = tokens + np.einsum("bihk,hkd->bid", taken, w["heads/attention_output/kernel"])
    wide = layer_norm(y, w["norm_2/gamma"], w["norm_2/beta"]) @ w["wide/kernel"] + w["wide/bias"]
    gelu = wide * (1 + erf(wide / np.sqrt(2))) / 2
    expected = y + gelu @ w["narrow/kernel"] + w["narrow/bias"]

    out, attention = block.attend(tokens, mask)
    np.testing.assert_allclose(attention, weights, atol=1e-5)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(block(tokens, mask), out)
    assert block.compute_output_shape((None, 4, 8)) == (None, 4, 8)


def test_block_saved_and_loaded_is_the_same(tmp_path):
    tokens, mask = keras.Input((None, 8)), keras.Input((None,), dtype="bool")
    model = keras.Model([tokens, mask], TransformerBlock(8, n_heads=4, dropout=0.3)(tokens, mask))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [np.random.default_rng(0).normal(size=(2, 5, 8)), np.ones((2, 5), bool)]
    expected = model.predict(inputs, verbose=0)
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)
    assert loaded.layers[-1].get_config() == model.layers[-1].get_config()


def test_attention():
    layer = transformer(n_blocks=3)
    layer(IDS)
    weights = np.array(layer.attention(IDS))
    assert weights.shape == (4, 3, 2, 5, 5)
    assert np.isfinite(weights).all()
    with_words = weights[:3]
    np.testing.assert_allclose(with_words.sum(-1), 1, rtol=1e-5)
    padding = np.broadcast_to((IDS == 0)[:3, None, None, None, :], with_words.shape)
    assert (with_words[padding] == 0).all()
    assert (with_words[~padding] > 0).all()
    # What the first block gives is what it computes from the words and places alone.
    tokens = layer.words(IDS) + layer.places(np.arange(5))
    np.testing.assert_allclose(
        weights[:, 0], layer.blocks[0].attend(tokens, IDS != 0)[1], rtol=1e-5
    )


def test_dropout_is_for_training():
    keras.utils.set_random_seed(0)
    layer = transformer(dropout=0.5)
    np.testing.assert_array_equal(layer(IDS), layer(IDS))
    assert not np.allclose(layer(IDS, training=True), layer(IDS, training=True))
    assert not np.allclose(layer(IDS, training=True), layer(IDS))


def test_transformer_names_what_is_wrong():
    with pytest.raises(ValueError, match=r"at most `max_length`, 9 tokens. Received: 10"):
        transformer()(np.ones((1, 10), int))
    with pytest.raises(ValueError, match=r"`n_heads` to divide `dim`. Received: 3 heads and dim=8"):
        TransformerTextEncoder(SIZE, 8, max_length=9, n_heads=3)
    with pytest.raises(ValueError, match=r"tokens of shape \(batch, length, 8\).*\(2, 5, 7\)"):
        TransformerBlock(8)(np.ones((2, 5, 7)), np.ones((2, 5), bool))


# --- Clauses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Oak, old. Not wool!", ["Oak,", "old.", "Not wool!"]),
        ("1.5 m: high", ["1.5 m:", "high"]),
        ("羊毛毯，手工。好！", ["羊毛毯，", "手工。", "好！"]),
        ("  no mark ", ["no mark"]),
        (" ", []),
    ],
)
def test_split_clauses(text, clauses):
    assert split_clauses(text) == clauses


@given(st.text(alphabet="ab ,.;:!?，。", max_size=30))
def test_splitting_loses_blanks_only(text):
    assert "".join(split_clauses(text)).replace(" ", "") == text.replace(" ", "")


def test_each_clause_is_encoded_once_and_stands_in_its_place():
    calls = []

    def encode(clauses):
        calls.append(list(clauses))
        return [[len(clause), 1.0] for clause in clauses]

    vectors = clause_vectors(encode, ["Oak, old.", "", "old. Oak,"], length=3)
    assert calls == [["Oak,", "old."]]
    assert vectors.dtype == np.float32
    oak, old, none = [4, 1], [4, 1], [0, 0]
    np.testing.assert_array_equal(vectors, [[oak, old, none], [none, none, none], [old, oak, none]])


def test_clause_vectors_name_what_is_wrong():
    def encode(clauses):
        return np.ones((len(clauses), 2))

    with pytest.raises(ValueError, match=r"Received: 2 in text 1\. Raise `length`"):
        clause_vectors(encode, ["a.", "a. b."], length=1)
    with pytest.raises(ValueError, match="at least one text with a clause"):
        clause_vectors(encode, ["", " "])
    with pytest.raises(TypeError, match="several texts"):
        clause_vectors(encode, "a. b.")


def test_clause_encoder_by_hand():
    mean = np.arange(5) / 10
    encoder = ClauseEncoder(dim=3, units=4, mean=mean)
    clauses = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
    clauses[1, 1:] = 0
    out = np.array(encoder(clauses))
    weights = {weight.path.split("/", 1)[1]: np.array(weight) for weight in encoder.weights}

    def dense(name, x):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    for row, n in ((0, 3), (1, 1)):
        x = clauses[row, :n] - mean
        x = x / np.sqrt(np.mean(x**2, axis=1, keepdims=True))
        f, g = dense("said", x), dense("gate", x)
        total = (0.5 * f * (1 + erf(f / np.sqrt(2))) / (1 + np.exp(-g))).sum(axis=0)
        normal = (total - total.mean()) / np.sqrt(total.var() + 1e-3)
        np.testing.assert_allclose(out[row], dense("out", normal), rtol=1e-3, atol=1e-4)


def test_clause_encoder_takes_clauses_in_any_order_and_ignores_padding_and_length():
    encoder = ClauseEncoder(dim=3)
    clauses = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("float32")
    out = encoder(clauses)
    np.testing.assert_allclose(encoder(clauses[:, ::-1]), out, atol=1e-5)
    np.testing.assert_allclose(encoder(np.pad(clauses, [(0, 0), (0, 2), (0, 0)])), out, atol=1e-5)
    np.testing.assert_allclose(encoder(7 * clauses), out, atol=1e-4)
    assert np.isfinite(encoder(np.zeros((1, 3, 5), "float32"))).all()


def test_clause_encoder_in_half_precision_saved_and_loaded(tmp_path):
    clauses = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("float32")
    half = ClauseEncoder(dim=3, dtype="mixed_float16")
    assert np.isfinite(half(1e-6 * clauses)).all()
    encoder = ClauseEncoder(3, units=8, dropout=0.1, mean=np.arange(5) / 10)
    model = keras.Sequential([keras.Input((3, 5)), encoder])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(clauses), loaded(clauses))
    assert loaded.layers[0].get_config() == model.layers[0].get_config()


def test_clause_encoder_names_what_is_wrong():
    with pytest.raises(ValueError, match="`dim` and `units`"):
        ClauseEncoder(0)
    with pytest.raises(ValueError, match=r"clauses of shape \(batch, length, n\)"):
        ClauseEncoder(2)(np.ones((2, 5), "float32"))
