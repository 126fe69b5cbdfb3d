"""Find the items whose vectors have the highest dot products with a query, among many."""

import hashlib
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

__all__ = ["FaissIndex", "ItemIndex", "load_index"]

# Queries, and scores, at a time: 8 MB of them stay in a processor's cache.
_QUERIES, _SCORES = 256, 2**21


class ItemIndex:
    """Items' vectors under the caller's ids, searched exactly.

    A search compares each query with every item, block by block, and keeps the best. It needs no
    building, and takes time in proportion to the number of items; `FaissIndex` takes less.

    Several searches may run at the same time, but none while items are added or removed.

    Args:
        ids: the items' ids, all strings or all integers of up to 64 bits.
        vectors: array of shape `(n_items, dim)`; kept as float32.

    Raises:
        ValueError: if an id stands twice, or a vector holds a NaN or an infinity; the message
            names it.
        TypeError: if the ids are neither strings nor integers.

    Example:

    >>> index = ItemIndex(["mug", "lamp", "vase"], [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    >>> ids, scores = index.search([[1.0, 0.25]], k=2)
    >>> ids
    array([['mug', 'vase']], dtype=object)
    >>> scores
    array([[1. , 0.8]], dtype=float32)
    >>> index.search([[1.0, 0.25]], k=2, exclude=[["mug"]])[0]
    array([['vase', 'lamp']], dtype=object)
    """

    def __init__(self, ids, vectors):
        vectors = _finite(vectors)
        self._vectors = self._room = np.empty((0, vectors.shape[1]), np.float32)
        self._alive = np.empty(0, bool)
        self._ids = []  # Of all rows, removed ones too,
        self._row_of = {}  # and the rows of those that are there.
        self._append(ids, vectors)

    @property
    def dim(self):
        """Length of the vectors."""
        return self._vectors.shape[1]

    @property
    def ids(self):
        """The ids of all items, a list, in the order in which they were added."""
        return list(self._row_of)

    def __len__(self):
        return len(self._row_of)

    def __contains__(self, id):
        return id in self._row_of

    def vectors(self, ids):
        """Return the vectors of items, a float32 array of shape `(len(ids), dim)`.

        Raises:
            KeyError: if the index has no item of an id.
        """
        return self._vectors[self._rows(ids)]

    def search(self, vectors, k, *, exclude=None):
        """Return the k items with the highest dot products with each query, the best first.

        Args:
            vectors: array of shape `(n, dim)`, one query a row.
            k: int of at least 1.
            exclude: None, or for each query an iterable of the ids that it must not get. What the
                index does not have need not be excluded, and is no error.

        Returns:
            `(ids, scores)`, arrays of shape `(n, k)`: ids are int64, or objects if they are
            strings; scores are float32. Items of equal scores come in the order in which they
            were added.

        Raises:
            ValueError: if a query holds a NaN or an infinity or is of another length than the
                items' vectors, or if fewer than k items are left for it; the message names it.
        """
        vectors = _finite(vectors, self.dim)
        hidden = self._hidden(exclude, len(vectors))
        if not isinstance(k, int | np.integer) or isinstance(k, bool) or k < 1:
            raise ValueError(f"Expected `k` to be an int of at least 1. Received: {k!r}.")
        for query, rows in enumerate(hidden):
            left = len(self) - len(rows)
            if k > left:
                raise ValueError(
                    "Expected `k` of at most the number of items that are left. "
                    f"Received: k={k}, with {left} of {len(self)} items left for query {query}."
                )
        rows = np.empty((len(vectors), k), np.int64)
        scores = np.empty((len(vectors), k), np.float32)
        for start in range(0, len(vectors), _QUERIES):
            chunk = slice(start, start + _QUERIES)
            rows[chunk], scores[chunk] = self._search(vectors[chunk], k, hidden[chunk])
        ids = np.array([self._ids[row] for row in rows.ravel()], self._dtype)
        return ids.reshape(rows.shape), scores

    def add(self, ids, vectors):
        """Add items. If an error is raised, none is added.

        Raises:
            ValueError: if an id is there already or stands twice, or if a vector is of another
                length or holds a NaN or an infinity.
            TypeError: if the ids are not of the kind of those that are there.
        """
        self._append(ids, _finite(vectors, self.dim))

    def remove(self, ids):
        """Remove items. If an error is raised, none is removed.

        Rows are only marked, until more than half of them are: then the others move together.

        Raises:
            KeyError: if the index has no item of an id.
        """
        ids = list(dict.fromkeys(ids))
        self._alive[self._rows(ids)] = False
        for id in ids:
            del self._row_of[id]
        if 2 * len(self) < len(self._ids):
            rows = np.flatnonzero(self._alive)
            self._vectors = self._room = self._vectors[rows]
            self._alive = self._alive[rows]
            self._ids = list(self._row_of)
            self._row_of = {id: row for row, id in enumerate(self._ids)}
            self._moved()

    def save(self, path):
        """Write the index to a file that `load_index` reads.

        The file is a zip archive of JSON and plain arrays, without pickle, and holds the SHA-256
        of each. It appears under its name only when it is complete.
        """
        path = Path(path)
        members = {
            "ids.json": json.dumps(self._ids).encode(),
            "vectors.npy": _npy(self._vectors),
            "alive.npy": _npy(self._alive),
            **self._members(),
        }
        about = {
            "format": "mmrec_tf index",
            "version": 1,
            "options": self._options(),
            "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
        }
        number, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        try:
            with os.fdopen(number, "wb") as file, zipfile.ZipFile(file, "w") as archive:
                for name, data in {"about.json": json.dumps(about).encode(), **members}.items():
                    archive.writestr(name, data)
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise

    @property
    def _dtype(self):
        return object if isinstance((self._ids or [""])[0], str) else np.int64

    def _rows(self, ids):
        try:
            return np.array([self._row_of[id] for id in ids], np.int64)
        except KeyError as error:
            raise KeyError(f"The index has no item {error.args[0]!r}.") from None

    def _hidden(self, exclude, n):
        """Return for each query the rows that it must not get."""
        if exclude is None:
            return [()] * n
        exclude = list(exclude)
        if len(exclude) != n or any(isinstance(ids, str) for ids in exclude):
            raise ValueError(
                f"Expected `exclude` to hold an iterable of ids for each of {n} queries. "
                f"Received: {len(exclude)} of them, the first {exclude[:1]}."
            )
        return [list({self._row_of[id] for id in ids if id in self._row_of}) for ids in exclude]

    def _append(self, ids, vectors):
        ids = [id.item() if isinstance(id, np.generic) else id for id in ids]
        if len(ids) != len(vectors):
            raise ValueError(
                "Expected as many `ids` as `vectors`. "
                f"Received: {len(ids)} ids and {len(vectors)} vectors."
            )
        kind, row_of = type((self._ids or ids or [""])[0]), {}
        for row, id in enumerate(ids, len(self._ids)):
            if type(id) is not kind or kind not in (int, str):
                raise TypeError(f"Expected ids that are all int or all str. Received: {id!r}.")
            if kind is int and not -(2**63) <= id < 2**63:
                raise ValueError(f"Expected integers of up to 64 bits. Received: {id}.")
            if id in self._row_of or id in row_of:
                raise ValueError(f"Expected each id once. Received: {id!r} again.")
            row_of[id] = row
        self._added(vectors)
        old, new = len(self._vectors), len(self._vectors) + len(vectors)
        if new > len(self._room):
            # Twice the room, so that adding items one by one does not copy all of them each time.
            self._room = np.empty((max(new, 2 * old), self.dim), np.float32)
            self._room[:old] = self._vectors
        self._room[old:new] = vectors
        self._vectors = self._room[:new]
        self._alive = np.concatenate([self._alive, np.ones(len(ids), bool)])
        self._ids += ids
        self._row_of |= row_of

    def _search(self, queries, k, hidden):
        """Return rows and scores, both of shape `(n, k)`, without the hidden rows."""
        # With as many more as are hidden, there are k left whichever these are.
        rows, scores = self._nearest(queries, k + max(map(len, hidden)))
        return _without(rows, scores, hidden, k)

    def _nearest(self, queries, n):
        """Return rows and scores of the n best for each query, of those that are not removed."""
        n_queries = len(queries)
        # What is kept, ordered by query, then by score: whose it is, its row and its score.
        query, row, score = (np.empty(0, dtype) for dtype in (np.int64, np.int64, np.float32))
        worst = np.full(n_queries, -np.inf, np.float32)  # What an item must surpass.
        size = min(_SCORES // n_queries, 2**16)
        for start in range(0, len(self._ids), size):
            block = slice(start, start + size)
            with np.errstate(over="ignore", invalid="ignore"):  # What overflows is refused below.
                scores = queries @ self._vectors[block].T
            scores[:, ~self._alive[block]] = -np.inf
            if start == 0 and scores.shape[1] > n:
                worst = np.nextafter(-np.partition(-scores, n - 1)[:, n - 1], -np.inf)
            places = np.nonzero(scores > worst[:, None])
            query = np.concatenate([query, places[0]])
            row = np.concatenate([row, places[1] + start])
            score = np.concatenate([score, scores[places]])
            order = np.lexsort((row, -score, query))
            query, row, score = query[order], row[order], score[order]
            rank = np.arange(len(query)) - np.searchsorted(query, query)
            worst[query[rank == n - 1]] = score[rank == n - 1]
            kept = rank < n
            query, row, score = query[kept], row[kept], score[kept]
        if len(row) < n_queries * n or not np.isfinite(score).all():
            raise ValueError(
                "Expected vectors whose dot products are within the range of float32. "
                "Received: some that are not; scale them down."
            )
        return row.reshape(n_queries, n), score.reshape(n_queries, n)

    # What an index does beside keeping the vectors; this one, nothing.

    def _added(self, vectors):
        pass

    def _moved(self):
        pass

    def _options(self):
        return None

    def _members(self):
        return {}


class FaissIndex(ItemIndex):
    """Items' vectors under the caller's ids, searched by FAISS, which need not look at them all.

    What a search misses of the k best, it replaces by the next: measure its recall beside
    `ItemIndex`. Where it finds fewer than k, that query is searched exactly.

    Args:
        ids: as for `ItemIndex`.
        vectors: as for `ItemIndex`. It is kept beside what FAISS keeps.
        factory: how FAISS stores them, in the language of its `index_factory`, such as

            - `"Flat"`: compares all, exactly;
            - `"IVF256,Flat"`: sorts them into 256 clusters and looks into the nearest few;
            - `"HNSW32"`: walks a graph that links each item to its neighbours;
            - `"PQ32x4fs,RFlat"`: compares all in a short code, and the best once more exactly.
        parameters: how it searches them, in the language of FAISS's `ParameterSpace`, such as
            `"nprobe=16"` clusters, `"efSearch=128"` items to keep in sight while walking, or
            `"k_factor_rf=20"` times k items to compare once more.

    Raises:
        ImportError: if FAISS is not installed.
        ValueError: as `ItemIndex`, or if FAISS does not understand `factory` or `parameters`, or
            has too few vectors to learn from.

    Example:

    >>> vectors = np.random.default_rng(0).normal(size=(1000, 8))
    >>> vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    >>> index = FaissIndex(range(1000), vectors, "IVF16,Flat", "nprobe=4")
    >>> index.search(vectors[7:8], k=1)[0]
    array([[7]])

    References:
        J. Johnson, M. Douze, H. Jégou: Billion-scale similarity search with GPUs. IEEE
        Transactions on Big Data 7(3), 2021, https://doi.org/10.1109/TBDATA.2019.2921572
    """

    def __init__(self, ids, vectors, factory, parameters=""):
        faiss = _faiss()
        vectors = _finite(vectors)
        self.factory = factory
        try:
            self._index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
            self._index.train(vectors)
        except RuntimeError as error:
            raise ValueError(
                "Expected a `factory` that FAISS can make an index of, and enough vectors. "
                f"Received: {factory!r} and {len(vectors)} vectors. FAISS says: {error}"
            ) from None
        self.parameters = parameters
        super().__init__(ids, vectors)

    @property
    def parameters(self):
        """How FAISS searches, a string; assign another to search otherwise."""
        return self._parameters

    @parameters.setter
    def parameters(self, parameters):
        try:
            _faiss().ParameterSpace().set_index_parameters(self._index, parameters)
        except RuntimeError as error:
            raise ValueError(
                f"Expected `parameters` that FAISS knows for {self.factory!r}. "
                f"Received: {parameters!r}. FAISS says: {error}"
            ) from None
        self._parameters = parameters

    def _search(self, queries, k, hidden):
        # With a margin for rows that are only marked as removed.
        n = k + max(map(len, hidden))
        n = min(len(self._ids), n + 2 * n * (len(self._ids) - len(self)) // len(self))
        scores, rows = self._index.search(queries, n)
        if len(self) < len(self._ids):
            rows[~self._alive[rows]] = -1  # Those of -1 stay -1.
        rows, scores = _without(rows, scores, hidden, k)
        short = np.flatnonzero(rows.min(axis=1) < 0)
        if len(short):
            exact = super()._search(queries[short], k, [hidden[query] for query in short])
            rows[short], scores[short] = exact
        return rows, scores

    def _added(self, vectors):
        self._index.add(vectors)

    def _moved(self):
        self._index.reset()  # It forgets the vectors, and not what it has learned from them.
        self._index.add(self._vectors)

    def _options(self):
        return {"factory": self.factory, "parameters": self.parameters}

    def _members(self):
        return {"index.faiss": _faiss().serialize_index(self._index).tobytes()}


def load_index(path):
    """Read an index that `save` has written.

    Returns:
        `ItemIndex` or `FaissIndex`, as was saved.

    Raises:
        ValueError: if the file is damaged, or is no index.
        ImportError: if it needs FAISS, and FAISS is not installed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        about = json.loads(members.pop("about.json"))
        if about["format"] != "mmrec_tf index" or about["version"] != 1:
            raise ValueError(f"it is of format {about['format']!r}, version {about['version']}")
        found = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
        if found != about["sha256"]:
            changed = [n for n, digest in about["sha256"].items() if found.get(n) != digest]
            raise ValueError(f"{', '.join(changed) or 'a member'} is not what was saved")
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"Expected a whole index that `save` has written. Received: {path}; {error}. "
            "Build it again from the vectors."
        ) from None
    options = about["options"]
    index = ItemIndex.__new__(ItemIndex if options is None else FaissIndex)
    index._ids = json.loads(members["ids.json"])
    index._vectors = index._room = np.load(io.BytesIO(members["vectors.npy"]), allow_pickle=False)
    index._alive = np.load(io.BytesIO(members["alive.npy"]), allow_pickle=False)
    index._row_of = {index._ids[row]: int(row) for row in np.flatnonzero(index._alive)}
    if options is not None:
        data = np.frombuffer(members["index.faiss"], np.uint8)
        index._index = _faiss().deserialize_index(data)
        index.factory = options["factory"]
        index.parameters = options["parameters"]  # FAISS does not save all of them.
    return index


def _without(rows, scores, hidden, k):
    """Return the first k that are not hidden; rows of -1 are what is not there, and come last."""
    gone = rows < 0
    for query, its in enumerate(hidden):
        if len(its):
            gone[query] |= np.isin(rows[query], its)
    if not gone.any():
        return rows[:, :k], scores[:, :k]
    order = np.argsort(gone, axis=1, kind="stable")[:, :k]
    rows = np.where(gone, -1, rows)
    return np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _finite(vectors, dim=None):
    """Return vectors as a float32 array of shape `(n, dim)`, or raise an error."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    if vectors.ndim != 2 or (dim is not None and vectors.shape[1] != dim):
        raise ValueError(
            f"Expected `vectors` of shape (n, {dim or 'dim'}). Received: shape {vectors.shape}."
        )
    faulty = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(faulty):
        raise ValueError(
            f"Expected finite `vectors`. Received: a NaN or an infinity in row {faulty[0]}"
            f"{f', and {len(faulty) - 1} more rows' if len(faulty) > 1 else ''}."
        )
    return vectors


def _npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _faiss():
    try:
        import faiss
    except ImportError:
        raise ImportError(
            "FaissIndex needs FAISS: pip install faiss-cpu. ItemIndex searches without it."
        ) from None
    return faiss
