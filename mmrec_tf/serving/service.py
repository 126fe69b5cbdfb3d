"""What answers a service's requests: one model at a time, and what has been told it since."""

import asyncio
import contextlib
import gc
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from mmrec_tf.serving.journal import Journal

__all__ = ["ConflictError", "Query", "Service"]

_BATCH = 256  # Queries that are answered together, if as many wait.


class ConflictError(ValueError):
    """A request that does not fit what is there, though nothing is wrong with it as such."""


class Query(NamedTuple):
    """One question for recommendations; see `Servable.recommend`."""

    history: list
    exclude: list
    k: int
    features: list | None


class Service:
    """A servable that is asked by many at a time, changed, and exchanged.

    One thread alone touches an index, so that no search sees half a change; the queries that wait
    for it are answered together. Changes wait for each other, not for queries.

    Args:
        load: function without arguments that returns a new `Servable`.
        journal: path of the journal.
    """

    def __init__(self, load, journal):
        self._load, self._journal = load, Journal(journal)
        try:
            self.servable = self._replayed(load())
        except BaseException:
            self._journal.close()
            raise
        self.version = 1
        self.on_batch = lambda size: None  # What to do with the size of every batch.
        self._changing = asyncio.Lock()
        self._waiting = asyncio.Queue()
        self._thread = ThreadPoolExecutor(1, "index")

    @contextlib.asynccontextmanager
    async def running(self):
        """Answer queries inside of `async with`."""
        _settle()
        answering = asyncio.create_task(self._answer())
        try:
            yield self
        finally:
            gc.unfreeze()
            answering.cancel()
            self._thread.shutdown()
            self._journal.close()

    async def recommend(self, query):
        """Return `(ids, scores, version)` for a `Query`."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((query, future))
        return await future

    async def similar(self, id, k):
        """Return `(ids, cosines, version)`; see `Servable.similar`."""
        return await self._in_thread(lambda: (*self.servable.similar(id, k), self.version))

    async def add(self, id, parts, features):
        """Add an item; when this returns, it is on the disk and can be recommended.

        Raises:
            ConflictError: if there is an item of that id.
            ValueError: as `Servable.encode`.
        """
        async with self._changing:
            if id in self.servable.index:
                raise ConflictError(f"Expected a new item. There is a {id!r} already.")
            vector = await asyncio.to_thread(self.servable.encode, parts, features)

            def write():
                self._journal.add(id, parts, features)
                self.servable.add(id, vector)

            await self._in_thread(write)

    async def remove(self, id):
        """Remove an item, for good.

        Raises:
            KeyError: if there is no item of that id.
        """

        def write():
            if id in self.servable.index:
                self._journal.remove(id)
            self.servable.remove(id)

        async with self._changing:
            await self._in_thread(write)

    async def reload(self):
        """Go over to what `load` returns now; if that fails, nothing changes.

        Raises:
            ConflictError: if it cannot be loaded, or is of another form than what is served.
        """
        async with self._changing:
            try:
                servable = await asyncio.to_thread(lambda: self._replayed(self._load()))
                if servable.form != self.servable.form:
                    raise ValueError(
                        "Expected ids, content and features as before, which clients rely on: "
                        f"{self.servable.form}. Loaded: {servable.form}. Start a new service."
                    )
            except Exception as error:
                raise ConflictError(f"Serving on what was there. {error}") from error

            def exchange():
                self.servable, self.version = servable, self.version + 1
                _settle()

            await self._in_thread(exchange)

    def _replayed(self, servable):
        """Return a servable that knows of all changes that other ones were told."""
        for id in self._journal.removed():
            if id in servable.index:
                servable.remove(id)
        for id, parts, features in self._journal.items():
            if id in servable.index:  # It has been trained with by now.
                continue
            try:
                servable.add(id, servable.encode(parts, features))
            except (ValueError, TypeError) as error:
                raise ValueError(
                    f"Expected a model that takes all items of the journal. Of {id!r}: {error}"
                ) from error
        return servable

    async def _in_thread(self, function):
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _answer(self):
        while True:
            waiting = [await self._waiting.get()]
            while len(waiting) < _BATCH and not self._waiting.empty():
                waiting.append(self._waiting.get_nowait())
            # Who has gone needs no answer.
            waiting = [(query, future) for query, future in waiting if not future.done()]
            answers = await self._in_thread(
                lambda queries=[query for query, _ in waiting]: self._recommend(queries)
            )
            for (_, future), answer in zip(waiting, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    def _recommend(self, queries):
        """Return an answer, or the error, for each query."""
        self.on_batch(len(queries))
        answers = {}
        for k in {query.k for query in queries}:
            numbers = [number for number, query in enumerate(queries) if query.k == k]
            try:
                answers |= self._together(queries, numbers, k)
            except Exception:
                # One of them is at fault, and the others must not suffer.
                for number in numbers:
                    try:
                        answers |= self._together(queries, [number], k)
                    except Exception as error:
                        answers[number] = error
        return [answers[number] for number in range(len(queries))]

    def _together(self, queries, numbers, k):
        its = [queries[number] for number in numbers]
        ids, scores = self.servable.recommend(
            [query.history for query in its],
            k,
            exclude=[query.exclude for query in its],
            features=[query.features for query in its],
        )
        rows = zip(ids.tolist(), scores.tolist(), strict=True)
        return {n: (*row, self.version) for n, row in zip(numbers, rows, strict=True)}


def _settle():
    """Let go of what is no longer used, and spare the rest from garbage collection.

    To look through a loaded model takes the collector a third of a second, in which no request is
    answered; left alone, it would do that about once a second under load.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
