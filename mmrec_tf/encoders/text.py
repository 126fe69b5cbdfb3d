"""From descriptions to vectors: a vocabulary, skip-gram word vectors, and three text encoders.

Token ids are int32 of shape `(batch, length)`: 0 is padding, 1 an unknown word, words start at 2.
"""

import json
import re
import unicodedata
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops

__all__ = [
    "ClauseEncoder",
    "PooledTextEncoder",
    "TransformerBlock",
    "TransformerTextEncoder",
    "Vocabulary",
    "clause_vectors",
    "skip_gram",
    "split_clauses",
    "tokenize",
]

_PADDING, _UNKNOWN, _FIRST_WORD = 0, 1, 2

# Scripts without spaces: Thai, Lao, Tibetan, Burmese, Khmer, Japanese, Chinese.
_ALONE = (
    "\u0e01-\u0e5b\u0e81-\u0edf\u0f40-\u0fbc\u1000-\u109f\u1780-\u17d3"
    "\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
# Accents and vowel signs, which Python's \w leaves out: Latin, Hebrew, Arabic, those of India.
_MARKS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf-\u05c7\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0951-\u0957"
    "\u0962\u0963\u0981-\u0983\u09bc-\u09cd\u0a01-\u0a03\u0a3c-\u0a51\u0a70-\u0a75\u0a81-\u0a83"
    "\u0abc-\u0acd\u0b01-\u0b03\u0b3c-\u0b57\u0b82-\u0bcd\u0c00-\u0c04\u0c3c-\u0c56\u0c81-\u0c83"
    "\u0cbc-\u0cd6\u0d00-\u0d03\u0d3b-\u0d4d\u0dca-\u0ddf"
)
_LETTERS = rf"(?:(?![{_ALONE}])[^\W_]|[{_MARKS}])+"
_TOKEN = re.compile(rf"[{_ALONE}]|{_LETTERS}(?:'{_LETTERS})*")
# After a mark and a space, so that 1.5 stays whole; Chinese has no space after its marks.
_CLAUSE_END = re.compile(r"(?<=[.,;:!?])\s+|(?<=[。，；：！？])\s*")


def tokenize(text):
    """Split a text into lower-case words.

    A word is a run of letters, digits and accents, perhaps with apostrophes inside; everything
    else separates words and is left out. A character of a script that is written without spaces,
    such as Chinese, is a token of its own. Full-width and composed forms are unified first (NFKC).

    Args:
        text: `str`.

    Returns:
        List of `str`.

    Example:

    >>> tokenize("Don’t fold: hand-made CAFÉ tray, 40cm")
    ["don't", 'fold', 'hand', 'made', 'café', 'tray', '40cm']
    >>> tokenize("羊毛毯 for 2")
    ['羊', '毛', '毯', 'for', '2']
    """
    text = unicodedata.normalize("NFKC", text.lower()).replace("’", "'")
    return _TOKEN.findall(text)


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows, numbered.

    Fit it on the texts of the items in train alone: a word that only test items have must stay
    unknown, as it will be when the model is in use.

    Args:
        words: tuple of distinct `str`; the first one has id 2.

    Raises:
        ValueError: if a word stands twice.

    Example:

    >>> vocabulary = Vocabulary.fit(["a wool rug", "a rug"])
    >>> vocabulary.words
    ('a', 'rug', 'wool')
    >>> vocabulary.encode(["wool rug", "a silk rug"], length=4)
    array([[4, 3, 0, 0],
           [2, 1, 3, 0]], dtype=int32)
    >>> len(vocabulary)
    5
    """

    words: tuple[str, ...]

    def __post_init__(self):
        ids = {word: i for i, word in enumerate(self.words, start=_FIRST_WORD)}
        if len(ids) < len(self.words):
            [(twice, _)] = Counter(self.words).most_common(1)
            raise ValueError(f"Expected distinct words. Received twice: {twice!r}.")
        object.__setattr__(self, "_ids", ids)

    @classmethod
    def fit(cls, texts, *, min_count=1, max_size=None):
        """Collect the words of texts, the most frequent ones first, equals by alphabet.

        Args:
            texts: iterable of `str`.
            min_count: how often a word must occur.
            max_size: largest number of words to keep; by default all.

        Returns:
            `Vocabulary`.

        Raises:
            ValueError: if no word is left.
        """
        counts = Counter(word for text in _check_texts(texts) for word in tokenize(text))
        words = [word for word, count in counts.items() if count >= min_count]
        words.sort(key=lambda word: (-counts[word], word))
        if not words[:max_size]:
            raise ValueError(
                f"Expected a word that occurs at least {min_count} times, and `max_size` of at "
                f"least 1. Received: {len(counts)} different words and max_size={max_size}."
            )
        return cls(tuple(words[:max_size]))

    def __len__(self):
        """Return the number of ids, those of padding and unknown words too."""
        return len(self.words) + _FIRST_WORD

    def encode(self, texts, length):
        """Turn texts into token ids.

        Args:
            texts: sequence of `n` `str`.
            length: number of tokens to keep of each text. A warning says how many are longer.

        Returns:
            int32 array of shape `(n, length)`, filled up with 0.
        """
        rows = [
            [self._ids.get(word, _UNKNOWN) for word in tokenize(text)]
            for text in _check_texts(texts)
        ]
        ids = np.full((len(rows), length), _PADDING, np.int32)
        for row, tokens in zip(ids, rows, strict=True):
            row[: len(tokens)] = tokens[:length]
        longest = max(map(len, rows), default=0)
        if longest > length:
            cut = sum(len(tokens) > length for tokens in rows)
            warnings.warn(
                f"{cut} of {len(rows)} texts are longer than {length} tokens and were cut; "
                f"the longest has {longest}.",
                stacklevel=2,
            )
        return ids

    def save(self, path):
        """Write the words to a JSON file."""
        text = json.dumps({"words": self.words}, ensure_ascii=False, indent=0)
        Path(path).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Raises:
            ValueError: if the file holds something else; the message names it.
        """
        try:
            words = json.loads(Path(path).read_text(encoding="utf-8"))["words"]
        except (ValueError, KeyError, TypeError):
            words = None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError(f'Expected {path} to be JSON of the form {{"words": ["…", …]}}.')
        return cls(tuple(words))


def _check_texts(texts):
    """Yield the texts, or raise an error that names the first one that is none."""
    if isinstance(texts, str):
        raise TypeError(f"Expected several texts. Received: one str, {texts[:40]!r}.")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"Expected texts of type str. Received: {text!r} at position {i}.")
        yield text


def skip_gram(
    ids,
    vocabulary_size,
    *,
    dim=64,
    window=5,
    negatives=5,
    subsample=1e-3,
    epochs=10,
    batch_size=1024,
    learning_rate=0.005,
    seed=0,
):
    r"""Learn a vector for each word from the words around it: word2vec with negative sampling.

    For every pair of a word :math:`c` and a word :math:`o` at most `window` tokens away, with
    negatives :math:`n` drawn in proportion to their counts to the power of 3/4, it minimises

    .. math:: -\log \sigma(u_o \cdot v_c) - \sum_n \log \sigma(-u_n \cdot v_c)

    and returns the :math:`v`. As in word2vec, each word draws how far it looks from 1 … `window`,
    and is left out of an epoch with probability :math:`1 - \sqrt{t / f}`, where :math:`f` is its
    share of all words and :math:`t` is `subsample`: the most frequent words say the least.

    Args:
        ids: int array of shape `(n_texts, length)`, as `Vocabulary.encode` gives it.
        vocabulary_size: number of ids, `len(vocabulary)`.
        dim: length of the vectors.
        window: how many tokens to look to either side.
        negatives: number of negatives a pair.
        subsample: :math:`t`; 1 leaves no word out.
        epochs: number of passes over the texts, each with other draws.
        batch_size: pairs a step.
        learning_rate: of Adam.
        seed: int; draws and initial vectors depend on it.

    Returns:
        float32 array of shape `(vocabulary_size, dim)`; zeros for ids that do not occur and for
        padding.

    Raises:
        ValueError: if `ids` are no such array, or if no text has two words.

    Example:

    >>> ids = np.array([[2, 3, 4, 0], [4, 3, 2, 0]])
    >>> skip_gram(ids, 6, dim=8, epochs=1).shape
    (6, 8)

    References:
        T. Mikolov, I. Sutskever, K. Chen, G. Corrado, J. Dean: Distributed representations of
        words and phrases and their compositionality. 2013, arXiv:1310.4546
    """
    ids = np.asarray(ids)
    _check_ids(ids, vocabulary_size)
    if not (np.count_nonzero(ids, axis=1) > 1).any():
        raise ValueError("Expected a text of at least two words. Received: none.")
    counts = np.bincount(ids[ids != _PADDING], minlength=vocabulary_size)
    share = np.maximum(counts, 1) / counts.sum()
    kept = np.minimum(1, np.sqrt(subsample / share))
    noise = np.cumsum(counts**0.75)
    rng = np.random.default_rng(seed)
    model = _skip_gram_model(vocabulary_size, dim, negatives, seed)
    model.compile(keras.optimizers.Adam(learning_rate), _skip_gram_loss, jit_compile=True)
    for _ in range(epochs):
        words = np.where(rng.random(ids.shape) < kept[ids], ids, _PADDING)
        centres, contexts = _pairs(words, rng.integers(1, window + 1, ids.shape))
        if not len(centres):
            continue
        # Whole batches, because each new shape is compiled anew: the first pairs come twice.
        order = np.resize(
            rng.permutation(len(centres)), -(-len(centres) // batch_size) * batch_size
        )
        draws = rng.random((len(order), negatives)) * noise[-1]
        noise_words = np.searchsorted(noise, draws, side="right")
        words = np.column_stack([contexts[order], noise_words]).astype(np.int32)
        # 1 for the word that was there, -1 for a negative, 0 for one that is that word itself.
        labels = np.where(words == words[:, :1], 0, -1)
        labels[:, 0] = 1
        model.fit([centres[order], words], labels, batch_size=batch_size, shuffle=False, verbose=0)
    vectors = ops.convert_to_numpy(model.get_layer("vectors").embeddings)
    return np.where(counts[:, None] > 0, vectors, np.float32(0))


def _skip_gram_model(vocabulary_size, dim, negatives, seed):
    """Return a model from centres and words to the words' logits, `(batch, 1 + negatives)`."""
    start = keras.initializers.RandomUniform(-0.5 / dim, 0.5 / dim, seed=seed)
    centre = keras.Input((), dtype="int32")
    words = keras.Input((1 + negatives,), dtype="int32")
    v = keras.layers.Embedding(vocabulary_size, dim, start, name="vectors")(centre)
    u = keras.layers.Embedding(vocabulary_size, dim, "zeros", name="contexts")(words)
    return keras.Model([centre, words], ops.einsum("bd,bnd->bn", v, u))


def _skip_gram_loss(labels, logits):
    return ops.sum(ops.abs(labels) * ops.softplus(-labels * logits), axis=-1)


def _pairs(ids, reach):
    """Return every word and each word at most its reach away, in the same text, padding left out.

    Args:
        ids: int array of shape `(n_texts, length)`, 0 where there is no word.
        reach: int array of the same shape, how many words each one looks to either side.

    Returns:
        Two int arrays of shape `(n_pairs,)`, centres and contexts.
    """
    # Words that were left out let their neighbours move together.
    order = np.argsort(ids == _PADDING, axis=1, kind="stable")
    ids = np.take_along_axis(ids, order, axis=1)
    reach = np.take_along_axis(reach, order, axis=1)
    centres, contexts = [ids[:0, 0]], [ids[:0, 0]]
    for distance in range(1, reach.max() + 1):
        left, right = ids[:, :-distance], ids[:, distance:]
        both = (left != _PADDING) & (right != _PADDING)
        ahead = both & (reach[:, :-distance] >= distance)
        behind = both & (reach[:, distance:] >= distance)
        centres += [left[ahead], right[behind]]
        contexts += [right[ahead], left[behind]]
    return np.concatenate(centres), np.concatenate(contexts)


def _check_ids(ids, vocabulary_size):
    if ids.ndim != 2 or ids.dtype.kind not in "iu":
        raise ValueError(
            "Expected `ids` to be integers of shape (n_texts, length). "
            f"Received: {ids.dtype} of shape {ids.shape}."
        )
    if ids.size and not 0 <= ids.min() <= ids.max() < vocabulary_size:
        raise ValueError(
            f"Expected `ids` in [0, {vocabulary_size}). Received: {ids.min()} to {ids.max()}."
        )


@keras.saving.register_keras_serializable("mmrec_tf")
class PooledTextEncoder(keras.layers.Layer):
    """Average the vectors of a text's words, and map the mean by a dense layer.

    The order of the words plays no part. A text without words has the mean zero.

    Args:
        vocabulary_size: number of ids, `len(vocabulary)`.
        dim: length of the result.
        embedding_dim: length of the words' vectors.
        vectors: float array of shape `(vocabulary_size, embedding_dim)`, such as `skip_gram`
            returns, to start from; by default random.

    Call arguments:
        ids: int tensor of shape `(batch, length)`, 0 for padding.

    Returns:
        Tensor of shape `(batch, dim)`.

    Example:

    >>> encoder = PooledTextEncoder(vocabulary_size=100, dim=16)
    >>> encoder(np.array([[2, 3, 0], [5, 0, 0]])).shape
    TensorShape([2, 16])

    References:
        M. Iyyer, V. Manjunatha, J. Boyd-Graber, H. Daumé III: Deep unordered composition rivals
        syntactic methods for text classification. ACL 2015, https://doi.org/10.3115/v1/P15-1162
    """

    def __init__(self, vocabulary_size, dim, *, embedding_dim=64, vectors=None, **kwargs):
        super().__init__(**kwargs)
        start = "uniform"
        if vectors is not None:
            if np.shape(vectors) != (vocabulary_size, embedding_dim):
                raise ValueError(
                    f"Expected `vectors` of shape {(vocabulary_size, embedding_dim)}, which is "
                    f"(vocabulary_size, embedding_dim). Received: shape {np.shape(vectors)}."
                )
            start = keras.initializers.Constant(vectors)
        self.vocabulary_size, self.dim = vocabulary_size, dim
        self.embedding_dim = embedding_dim
        self.embedding = keras.layers.Embedding(
            vocabulary_size, embedding_dim, start, dtype=self.dtype_policy, name="embedding"
        )
        self.out = keras.layers.Dense(dim, dtype=self.dtype_policy, name="out")

    def build(self, ids_shape):
        _check_tokens_shape(ids_shape)
        self.embedding.build(ids_shape)
        self.out.build((None, self.embedding_dim))

    def call(self, ids):
        _check_tokens_type(ids)
        return self.out(_masked_mean(self.embedding(ids), ops.not_equal(ids, _PADDING)))

    def compute_output_shape(self, ids_shape):
        return (ids_shape[0], self.dim)

    def get_config(self):
        # Without the vectors: the saved weights hold what became of them.
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "embedding_dim": self.embedding_dim,
        }


@keras.saving.register_keras_serializable("mmrec_tf")
class TransformerBlock(keras.layers.Layer):
    """Let every token take from every other by attention, then pass each through a small MLP.

    The input of both is normalised ("pre-norm"), and their output added to what came in.

    Args:
        dim: length of the tokens' vectors.
        n_heads: number of attention heads; divides `dim`.
        dropout: probability of dropping a number of what is added, while training.

    Call arguments:
        tokens: tensor of shape `(batch, length, dim)`.
        mask: bool tensor of shape `(batch, length)`, False where there is no token.
        training: bool.

    Returns:
        Tensor of shape `(batch, length, dim)`.

    References:
        A. Vaswani et al.: Attention is all you need. 2017, arXiv:1706.03762
        R. Xiong et al.: On layer normalization in the Transformer architecture. 2020,
        arXiv:2002.04745
    """

    def __init__(self, dim, *, n_heads=4, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        if dim < 1 or n_heads < 1 or dim % n_heads:
            raise ValueError(
                f"Expected `n_heads` to divide `dim`. Received: {n_heads} heads and dim={dim}."
            )
        self.dim, self.n_heads, self.dropout_rate = dim, n_heads, dropout
        own = {"dtype": self.dtype_policy}
        self.norm_1 = keras.layers.LayerNormalization(name="norm_1", **own)
        # Without a bias: that of the keys adds the same to all of a query's scores.
        self.heads = keras.layers.MultiHeadAttention(
            n_heads, dim // n_heads, use_bias=False, name="heads", **own
        )
        self.norm_2 = keras.layers.LayerNormalization(name="norm_2", **own)
        self.wide = keras.layers.Dense(4 * dim, activation="gelu", name="wide", **own)
        self.narrow = keras.layers.Dense(dim, name="narrow", **own)
        self.dropout = keras.layers.Dropout(dropout, name="dropout", **own)

    def build(self, tokens_shape, mask_shape=None):
        if len(tokens_shape) != 3 or tokens_shape[-1] != self.dim:
            raise ValueError(
                f"Expected tokens of shape (batch, length, {self.dim}). "
                f"Received: shape {tuple(tokens_shape)}."
            )
        self.heads.build(tokens_shape, tokens_shape)
        for layer in (self.norm_1, self.norm_2, self.wide):
            layer.build(tokens_shape)
        self.narrow.build((*tokens_shape[:-1], 4 * self.dim))

    def call(self, tokens, mask, training=False):
        return self.attend(tokens, mask, training)[0]

    def attend(self, tokens, mask, training=False):
        """Return what `call` does, and the attention weights, `(batch, heads, length, length)`."""
        normal = self.norm_1(tokens)
        taken, weights = self.heads(
            normal, normal, attention_mask=mask[:, None, :], return_attention_scores=True
        )
        tokens = tokens + self.dropout(taken, training=training)
        more = self.narrow(self.wide(self.norm_2(tokens)))
        return tokens + self.dropout(more, training=training), weights

    def compute_output_shape(self, tokens_shape, mask_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "dim": self.dim,
            "n_heads": self.n_heads,
            "dropout": self.dropout_rate,
        }


@keras.saving.register_keras_serializable("mmrec_tf")
class TransformerTextEncoder(keras.layers.Layer):
    """Read a text by self-attention: what a word says depends on the words around it, and where.

    Word vectors plus position vectors, `n_blocks` times a `TransformerBlock`, and the mean over
    the tokens that are there. A text without words gives zeros.

    Args:
        vocabulary_size: number of ids, `len(vocabulary)`.
        dim: length of the tokens' vectors and of the result.
        max_length: largest number of tokens of a text.
        n_blocks: number of blocks.
        n_heads: number of attention heads of each; divides `dim`.
        dropout: probability of dropping a number, while training.

    Call arguments:
        ids: int tensor of shape `(batch, length)`, 0 for padding, `length` at most `max_length`.
        training: bool.

    Returns:
        Tensor of shape `(batch, dim)`.

    Example:

    >>> encoder = TransformerTextEncoder(vocabulary_size=100, dim=16, max_length=8)
    >>> ids = np.array([[2, 3, 0], [5, 0, 0]])
    >>> encoder(ids).shape
    TensorShape([2, 16])
    >>> encoder.attention(ids).shape  # batch, blocks, heads, from, to
    TensorShape([2, 2, 4, 3, 3])

    References:
        A. Vaswani et al.: Attention is all you need. 2017, arXiv:1706.03762
    """

    def __init__(
        self, vocabulary_size, dim, *, max_length, n_blocks=2, n_heads=4, dropout=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.vocabulary_size, self.dim, self.max_length = vocabulary_size, dim, max_length
        self.n_blocks, self.n_heads, self.dropout_rate = n_blocks, n_heads, dropout
        own = {"dtype": self.dtype_policy}
        self.words = keras.layers.Embedding(vocabulary_size, dim, name="words", **own)
        self.places = keras.layers.Embedding(max_length, dim, name="places", **own)
        self.dropout = keras.layers.Dropout(dropout, name="dropout", **own)
        self.blocks = [
            TransformerBlock(dim, n_heads=n_heads, dropout=dropout, name=f"block_{i}", **own)
            for i in range(n_blocks)
        ]
        self.norm = keras.layers.LayerNormalization(name="norm", **own)

    def build(self, ids_shape):
        _check_tokens_shape(ids_shape)
        self.words.build(ids_shape)
        self.places.build(ids_shape)
        for layer in [*self.blocks, self.norm]:
            layer.build((*ids_shape, self.dim))

    def call(self, ids, training=False):
        tokens, mask = self._embed(ids, training)
        for block in self.blocks:
            tokens = block(tokens, mask, training=training)
        return _masked_mean(self.norm(tokens), mask)

    def attention(self, ids):
        """Return the attention weights, shape `(batch, n_blocks, n_heads, length, length)`.

        Entry `[…, i, j]` is how much token `i` takes from token `j`: nothing if that is padding.
        A row adds up to 1, if the text has a word.
        """
        tokens, mask = self._embed(ids, training=False)
        weights = []
        for block in self.blocks:
            tokens, weights_of_block = block.attend(tokens, mask)
            weights.append(weights_of_block)
        return ops.stack(weights, axis=1)

    def _embed(self, ids, training):
        _check_tokens_type(ids)
        length = ids.shape[1]
        if length is not None and length > self.max_length:
            raise ValueError(
                f"Expected texts of at most `max_length`, {self.max_length} tokens. "
                f"Received: {length}."
            )
        tokens = self.words(ids) + self.places(ops.arange(ops.shape(ids)[1]))
        return self.dropout(tokens, training=training), ops.not_equal(ids, _PADDING)

    def compute_output_shape(self, ids_shape):
        return (ids_shape[0], self.dim)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "dim": self.dim,
            "max_length": self.max_length,
            "n_blocks": self.n_blocks,
            "n_heads": self.n_heads,
            "dropout": self.dropout_rate,
        }


def split_clauses(text):
    """Split a text at its punctuation marks.

    Args:
        text: `str`.

    Returns:
        List of `str`, none of them empty; an empty list for a text of blanks.

    Example:

    >>> split_clauses("A lamp, 1.5 m high. It is made of oak; unlike glass, it ages well.")
    ['A lamp,', '1.5 m high.', 'It is made of oak;', 'unlike glass,', 'it ages well.']
    >>> split_clauses("羊毛毯，手工制作。")
    ['羊毛毯，', '手工制作。']
    """
    return [part for part in _CLAUSE_END.split(text.strip()) if part]


def clause_vectors(encode, texts, *, length=None):
    """Encode texts clause by clause.

    A large model makes one vector of whatever it is given. Of a long text, that is a mean in which
    a remark weighs as much as the fact that it stands beside.

    Args:
        encode: function from a list of `str` to vectors of shape `(n, dim)`, such as
            `load_sentence_encoder` returns. Each distinct clause is encoded once.
        texts: sequence of `str`.
        length: number of clauses of a text; by default as many as the longest has.

    Returns:
        float32 array of shape `(len(texts), length, dim)`; zeros where there is no clause.

    Raises:
        TypeError: if `texts` is one `str`, or an element is not a `str`.
        ValueError: if no text has a clause, or one has more than `length` of them.

    Example:

    >>> def count_characters(clauses):
    ...     return [[len(clause)] for clause in clauses]
    >>> clause_vectors(count_characters, ["Oak, old.", "Wool."])[..., 0]
    array([[4., 4.],
           [5., 0.]], dtype=float32)
    """
    parts = [split_clauses(text) for text in _check_texts(texts)]
    distinct = list(dict.fromkeys(clause for clauses in parts for clause in clauses))
    if not distinct:
        raise ValueError("Expected at least one text with a clause. Received: none.")
    longest = max(range(len(parts)), key=lambda row: len(parts[row]))
    most = len(parts[longest])
    if length is None:
        length = most
    elif most > length:
        raise ValueError(
            f"Expected at most `length` = {length} clauses. "
            f"Received: {most} in text {longest}. Raise `length`, or shorten the text."
        )
    known = np.asarray(encode(distinct), np.float32)
    rows = {clause: row for row, clause in enumerate(distinct)}
    vectors = np.zeros((len(parts), length, known.shape[1]), np.float32)
    for text, clauses in enumerate(parts):
        vectors[text, : len(clauses)] = known[[rows[clause] for clause in clauses]]
    return vectors


@keras.saving.register_keras_serializable("mmrec_tf")
class ClauseEncoder(keras.layers.Layer):
    r"""Sum what the clauses of a text say, each number through a gate that may close.

    .. math:: W \, \mathrm{norm} \Bigl( \sum_c \sigma(G x_c) \odot \mathrm{gelu}(F x_c) \Bigr)

    with the vectors :math:`x_c` of the clauses, which a large model has computed beforehand, less
    their mean and scaled to a mean square of one, and learned maps :math:`F`, :math:`G` and
    :math:`W`. A gate can learn that "unlike oak," says nothing of the material. The order of the
    clauses plays no part. A text without clauses has the sum zero.

    Args:
        dim: length of the result.
        units: length of the sum.
        mean: float array of shape `(n,)`, the mean of the vectors of many clauses, which is
            subtracted: what all have in common tells none from another. By default zeros.
        dropout: probability of dropping a number of the clauses' vectors, while training.

    Call arguments:
        clauses: float tensor of shape `(batch, length, n)`, as `clause_vectors` returns; zeros
            where there is no clause.
        training: bool.

    Returns:
        Tensor of shape `(batch, dim)`.

    Example:

    >>> ClauseEncoder(dim=16)(np.ones((2, 5, 512), "float32")).shape
    TensorShape([2, 16])

    References:
        Y. Dauphin, A. Fan, M. Auli, D. Grangier: Language modeling with gated convolutional
        networks. ICML 2017, arXiv:1612.08083
    """

    def __init__(self, dim, *, units=64, mean=None, dropout=0.5, **kwargs):
        super().__init__(**kwargs)
        if dim < 1 or units < 1:
            raise ValueError(
                f"Expected `dim` and `units` of at least 1. Received: {dim} and {units}."
            )
        self.dim, self.units, self.dropout_rate = dim, units, dropout
        self._mean = "zeros" if mean is None else keras.initializers.Constant(mean)
        own = {"dtype": self.dtype_policy}
        self.dropout = keras.layers.Dropout(dropout, name="dropout", **own)
        self.said = keras.layers.Dense(units, activation="gelu", name="said", **own)
        self.gate = keras.layers.Dense(units, activation="sigmoid", name="gate", **own)
        # Of sums that are hardly ever negative a few steps of training could push every number
        # of the result below zero, and a ReLU that follows would be dead.
        self.norm = keras.layers.LayerNormalization(name="norm", **own)
        self.out = keras.layers.Dense(dim, name="out", **own)

    def build(self, clauses_shape):
        if len(clauses_shape) != 3 or clauses_shape[-1] is None:
            raise ValueError(
                "Expected clauses of shape (batch, length, n). "
                f"Received: shape {tuple(clauses_shape)}."
            )
        self.mean = self.add_weight(
            shape=clauses_shape[-1:],
            initializer=self._mean,
            dtype="float32",
            trainable=False,
            name="mean",
        )
        for layer in (self.said, self.gate):
            layer.build(clauses_shape)
        for layer in (self.norm, self.out):
            layer.build((clauses_shape[0], self.units))

    def call(self, clauses, training=False):
        clauses = ops.cast(clauses, "float32")  # Squares of small numbers are 0 in float16.
        here = ops.any(clauses != 0, axis=-1, keepdims=True)
        clauses = clauses - self.mean
        square = ops.mean(ops.square(clauses), axis=-1, keepdims=True)
        scaled = clauses * ops.rsqrt(ops.where(square > 0, square, 1.0))
        scaled = self.dropout(ops.cast(scaled, self.compute_dtype), training=training)
        said = self.gate(scaled) * self.said(scaled)
        return self.out(self.norm(ops.sum(said * ops.cast(here, said.dtype), axis=1)))

    def compute_output_shape(self, clauses_shape):
        return (clauses_shape[0], self.dim)

    def get_config(self):
        # Without the mean: the saved weights hold it.
        return {
            **super().get_config(),
            "dim": self.dim,
            "units": self.units,
            "dropout": self.dropout_rate,
        }


def _masked_mean(tokens, mask):
    """Average `(batch, length, dim)` over the tokens where `mask` is True; zeros if there is none.

    In float32, since a sum over many tokens leaves the range of float16.
    """
    mask = ops.cast(mask, "float32")[..., None]
    total = ops.sum(ops.cast(tokens, "float32") * mask, axis=1)
    return ops.cast(total / ops.maximum(ops.sum(mask, axis=1), 1.0), tokens.dtype)


def _check_tokens_shape(shape):
    if len(shape) != 2:
        raise ValueError(f"Expected `ids` of shape (batch, length). Received: {tuple(shape)}.")


def _check_tokens_type(ids):
    # An embedding rounds numbers down to ids without a word, and every feature in [0, 1) to 0.
    dtype = keras.backend.standardize_dtype(ids.dtype)
    if "int" not in dtype:
        raise TypeError(f"Expected `ids` to be integers. Received: {dtype}.")
