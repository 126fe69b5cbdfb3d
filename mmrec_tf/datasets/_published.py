"""What the loaders of published data sets share: where files come from, and lines in blocks."""

import gzip
import io
import zlib
from csv import QUOTE_NONE
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmrec_tf.datasets.faults import Fault, FolderError

BLOCK = 2**24  # bytes of text that are looked at in one go
MOST_FAULTS = 100  # after which a file is not read on
REMEDY = "Mend the file or download it again. Behind these lines it was not read."


@dataclass(frozen=True)
class Source:
    """Where a data set is published, and under which terms."""

    name: str
    address: str
    terms: str

    def find(self, folder, *names):
        """Return the path of the first of the files that exists in a folder.

        Raises:
            FileNotFoundError: if there is none of them.
        """
        paths = [folder / name for name in names]
        for path in paths:
            if path.is_file():
                return path
        raise self.missing(" or ".join(map(str, paths)))

    def missing(self, what):
        """Return the error that something of this data set is not there."""
        return FileNotFoundError(
            f"{what} is missing. It belongs to {self.name}: download it from {self.address}, "
            f"and unpack archives. Terms: {self.terms}"
        )


def open_bytes(path):
    """Open a file, compressed by gzip if its name ends so, to read its bytes."""
    return gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")


def numbered_lines(path):
    """Yield the number, from 1, and the bytes of every line that is not blank.

    Raises:
        FolderError: if a compressed file is damaged or cut off.
    """
    number = 0
    with open_bytes(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield number, line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise damaged(path, number + 1, error) from None


def damaged(path, line, error):
    """Return the error that a compressed file cannot be read on from a line."""
    message = f"Expected a whole file compressed by gzip ({error})"
    return FolderError([Fault(path.name, line, None, None, "truncated file", message)], REMEDY)


def read_fields(path, names, sep):
    """Yield the lines of a file without a header in blocks, each a data frame of strings.

    Quotes mean nothing in such a file, and an empty field is an empty string.

    Args:
        path: the file.
        names: names of all columns.
        sep: the one character between fields.

    Yields:
        Data frame with the columns `names`, indexed by the numbers of the lines, from 1.

    Raises:
        FolderError: if a line has another number of fields or is not UTF-8.
    """
    first = 1
    with open(path, "rb") as file:
        while block := file.read(BLOCK) + file.readline():
            frame = parse_fields(block, names, sep, lambda row, n=first: (path.name, row + n))
            if len(frame):
                yield frame.set_axis(frame.index + first)
            first += block.count(b"\n")


def parse_fields(block, names, sep, place):
    """Return the lines of a block of bytes as a data frame of strings.

    Args:
        block: whole lines; blank ones are left out.
        names: names of all columns.
        sep: the one character between fields.
        place: function from the number of a line in the block, from 0, to its file and line.

    Returns:
        Data frame with the columns `names`, indexed by the lines' numbers in the block.

    Raises:
        FolderError: as `read_fields` does.
    """
    if b"\r" in block:
        block = block.replace(b"\r\n", b"\n")
    if not block.endswith(b"\n"):
        block += b"\n"
    characters = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    separators = np.flatnonzero(characters == ord(sep))
    n_fields = np.diff(np.searchsorted(separators, ends), prepend=0) + 1
    rows = np.flatnonzero(np.diff(ends, prepend=-1) > 1)
    ragged = rows[n_fields[rows] != len(names)]
    if len(ragged):
        faults = []
        for row in ragged[:MOST_FAULTS]:
            text = block[ends[row - 1] + 1 if row else 0 : ends[row]].decode("utf-8", "replace")
            message = f"Expected {len(names)} fields: {', '.join(names)}. Received: {n_fields[row]}"
            faults.append(Fault(*place(int(row)), None, text, "ragged row", message))
        raise FolderError(faults, REMEDY)
    if not len(rows):
        return pd.DataFrame({name: pd.Series(dtype=str) for name in names})
    try:
        frame = pd.read_csv(
            io.BytesIO(block),
            sep=sep,
            names=list(names),
            header=None,
            index_col=False,
            dtype=str,
            na_filter=False,
            quoting=QUOTE_NONE,
            lineterminator="\n",
        )
    except UnicodeDecodeError:
        raise _not_utf8(block, place) from None
    return frame.set_axis(rows)


def _not_utf8(block, place):
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        where = place(block.count(b"\n", 0, error.start))
        value = f"byte {block[error.start]:#04x}"
        return FolderError([Fault(*where, None, value, "wrong encoding", "Expected UTF-8")], REMEDY)


def faults_of_rows(frame, place, column, wrong, kind, message):
    """Return the first faults of the rows of a data frame in which a value is wrong.

    Args:
        frame: data frame of strings.
        place: function from a label of its index to a file and a line.
        column: name of the column.
        wrong: bool array, one a row.
        kind: see `Fault`.
        message: see `Fault`.
    """
    values = frame.loc[np.asarray(wrong), column][:MOST_FAULTS]
    return [Fault(*place(row), column, value, kind, message) for row, value in values.items()]
