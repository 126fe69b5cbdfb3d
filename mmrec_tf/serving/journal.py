"""What a running service has been told about items, kept on disk so that no end loses it."""

import json
import sqlite3

__all__ = ["Journal"]


class Journal:
    """Items that were added to a service, with their content, and items that were taken out.

    It keeps what was sent, not vectors: these are another model's after the next training. What
    `add` and `remove` have returned from is on the disk.

    Args:
        path: SQLite file; it is created if there is none.

    Raises:
        ValueError: if the file is no such journal, is damaged, or is in use by another service.
    """

    def __init__(self, path):
        try:
            self._file = sqlite3.connect(path, timeout=0, check_same_thread=False)
            self._file.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._file.execute("PRAGMA synchronous = FULL")
            with self._file:
                self._file.execute("BEGIN EXCLUSIVE")
                for table in (
                    "items (id PRIMARY KEY, features TEXT)",
                    "parts (id, modality TEXT, filename TEXT, data BLOB)",
                    "removed (id PRIMARY KEY)",
                ):
                    self._file.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            (state,) = self._file.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise sqlite3.DatabaseError(state)
        except sqlite3.Error as error:
            raise ValueError(
                f"Expected a journal that no other service uses. Received: {path}; SQLite says: "
                f"{error}. Give every service a file of its own."
            ) from None

    def add(self, id, parts, features=None):
        """Keep an item: its id, its parts as `Servable.encode` takes them, and its features."""
        with self._file:
            self._file.execute("DELETE FROM removed WHERE id = ?", (id,))
            self._file.execute("INSERT INTO items VALUES (?, ?)", (id, json.dumps(features)))
            rows = [(id, modality, *part) for modality, part in parts.items()]
            self._file.executemany("INSERT INTO parts VALUES (?, ?, ?, ?)", rows)

    def remove(self, id):
        """Keep that an item is gone, whether it was added here or came with the model."""
        with self._file:
            self._file.execute("DELETE FROM items WHERE id = ?", (id,))
            self._file.execute("DELETE FROM parts WHERE id = ?", (id,))
            self._file.execute("INSERT OR IGNORE INTO removed VALUES (?)", (id,))

    def items(self):
        """Yield `(id, parts, features)` of each item, in the order in which they were added."""
        for id, features in self._file.execute("SELECT id, features FROM items ORDER BY rowid"):
            query = "SELECT modality, filename, data FROM parts WHERE id = ?"
            parts = {m: (filename, data) for m, filename, data in self._file.execute(query, (id,))}
            yield id, parts, json.loads(features)

    def removed(self):
        """Return the ids of the items that are gone, a list."""
        return [id for (id,) in self._file.execute("SELECT id FROM removed")]

    def close(self):
        """Let go of the file."""
        self._file.close()
