"""Tables as CSV: read with all their faults, and the sound rows as a data frame."""

import csv
import difflib
import io
import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mmrec_tf.datasets.faults import Fault

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PLAIN_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_FLOAT32 = float(np.finfo(np.float32).max)

_SAVE_AS_UTF8 = "Save it again as CSV UTF-8"
_SAME_LOOK = "Another Unicode form (NFC) of the same id"


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file that have all fields, and which of them turned out to be faulty.

    A check calls `complain(value)`, which returns a fault's kind and message, or None.
    """

    file: str
    columns: dict[str, list[str]]
    lines: list[int]
    faults: list[Fault]
    faulty: set[int] = field(default_factory=set)

    def report(self, row, column, kind, message):
        """Add a fault to the list, and the row to the faulty ones."""
        value = self.columns[column][row]
        self.faults.append(Fault(self.file, self.lines[row], column, value, kind, message))
        self.faulty.add(row)

    def check(self, column, complain):
        """Report every value of which `complain` complains."""
        values = self.columns[column]
        # Each different value once: a million interactions name far fewer items.
        complaints = {v: found for v in set(values) if (found := complain(v))}
        if complaints:
            for row, value in enumerate(values):
                if value in complaints:
                    self.report(row, column, *complaints[value])

    def sound_rows(self):
        """Return the numbers of the rows that are not faulty."""
        return [row for row in range(len(self.lines)) if row not in self.faulty]

    def sound_values(self, column):
        """Return a column's values in the rows that are not faulty."""
        values = self.columns[column]
        return [values[row] for row in self.sound_rows()] if self.faulty else values


# --- Reading ----------------------------------------------------------------------------------


def read_table(root, file, required, optional, faults, *, own_columns=True):
    """Read the rows of a CSV file that have all fields.

    Args:
        root: the folder.
        file: name of the file in it.
        required: names of the columns without which the table is of no use.
        optional: names of the other columns that have a meaning.
        faults: list to which the `Fault` are added.
        own_columns: whether columns of any other name are taken too, or are faults.

    Returns:
        `Table`, or None if none of it can be used.
    """
    text = _read_text(root, file, faults)
    if text is None:
        return None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header, names, fields, lines = None, [], [], []
    while True:
        line = reader.line_num + 1  # A field in quotes may span lines: where the row begins.
        try:
            row = next(reader, None)
        except csv.Error as error:
            message = f"Expected a quote to be closed, and doubled within quotes ({error})"
            faults.append(Fault(file, line, None, None, "bad quotes", message))
            if header is None or "expected after" not in str(error):
                return None  # The row never ends: there is nothing behind it to go on with.
            continue
        if row is None:
            break
        if not row:  # an empty line
            continue
        if header is None:
            header = row
            names = _check_header(file, line, row, required, optional, own_columns, faults)
            if names is None:
                return None
        elif len(row) == len(header):
            fields += row
            lines.append(line)
        else:
            message = (
                f"Expected {len(header)} fields. Received: {len(row)}. "
                "A field that holds a comma stands in quotes"
            )
            faults.append(Fault(file, line, None, ",".join(row), "ragged row", message))
    if not lines:
        faults.append(Fault(file, None, None, None, "no rows", "Expected rows with all fields"))
        return None
    columns = {name: fields[n :: len(header)] for n, name in enumerate(header) if name in names}
    return Table(file, columns, lines, faults)


def _read_text(root, file, faults):
    """Return the text of a file, or None and a fault."""

    def complain(kind, message, line=None, value=None):
        faults.append(Fault(file, line, None, value, kind, message))

    path = root / file
    if not os.path.lexists(path):
        return complain("missing file", "Expected this file")
    if complaint := complain_of_link(root, path):
        return complain(*complaint)
    try:
        data = path.read_bytes()
    except OSError as error:
        return complain("unreadable", f"Expected a file that can be read ({error.strerror})")
    if not data.strip():
        return complain("empty file", "Expected a line of column names")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return complain("wrong encoding", f"Expected UTF-8. {_SAVE_AS_UTF8}", 1, "UTF-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"Expected UTF-8; see byte {error.start:,} of the file. {_SAVE_AS_UTF8}"
        return complain("wrong encoding", message, line, f"byte {data[error.start]:#04x}")


def _check_header(file, line, header, required, optional, own_columns, faults):
    """Return the names of the columns to take, or None and faults."""
    known = (*required, *optional)
    n_faults = len(faults)

    def complain(column, value, kind, message):
        faults.append(Fault(file, line, column, value, kind, message))

    if len(header) == 1 and re.search(r"[;\t|]", header[0]):
        return complain(None, header[0], "wrong separator", "Expected commas between the fields")
    for name, count in Counter(header).items():
        if count > 1:
            complain(name, name, "repeated column", f"Expected one such column. Received: {count}")
    meant = {}
    for name in header:
        if name not in known and (likely := similar_name(name, set(known) - set(header))):
            meant[name] = likely
    for name in required:
        if name not in header:
            similar = [given for given, likely in meant.items() if likely == name]
            hint = f": did you mean {name} by {similar[0]!r}?" if similar else ""
            complain(name, ", ".join(header), "missing column", f"Expected a column {name}{hint}")
    if len(faults) > n_faults:
        return None
    names = list(known)
    for name in header:
        if name in known:
            continue
        if name in meant:
            message = f"If {meant[name]} is meant, rename it; else take a name less similar"
            complain(name, name, "similar column", message)
        elif not own_columns:
            message = f"Expected none but {', '.join(known)}: remove this column"
            complain(name, name, "unknown column", message)
        elif not name.strip():
            complain(name, name, "unnamed column", "Expected a name: give it one, or remove it")
        elif complaint := complain_of_cell(name):
            complain(name, name, *complaint)
        else:
            names.append(name)
    return names


def similar_name(name, known):
    """Return which of `known` a name was likely meant to be, or None."""
    plain = {re.sub(r"[\s_-]", "", each.casefold()): each for each in sorted(known)}
    close = difflib.get_close_matches(re.sub(r"[\s_-]", "", name.casefold()), plain, 1, 0.8)
    return plain[close[0]] if close else None


# --- Checks: each returns a fault's kind and message, or None ---------------------------------


def complain_of_link(root, path):
    """Complain of a path in the folder `root` that a link leads out of it."""
    if path.resolve().is_relative_to(root):
        return None
    return "outside", "It leads out of the folder: put the file itself here"


def complain_of_empty(value):
    """Complain of a value that must not be empty."""
    return None if value.strip() else ("empty value", "Expected a value")


def complain_of_cell(value):
    """Complain of what no cell should hold: NUL bytes, and what a spreadsheet would run."""
    if "\0" in value:
        return "NUL byte", "Expected text. Was it saved as UTF-16? " + _SAVE_AS_UTF8
    # https://owasp.org/www-community/attacks/CSV_Injection
    if len(value) > 1 and value[0] in "=+-@\t\r" and not _NUMBER.fullmatch(value):
        return "formula", "A spreadsheet may run this: begin it with another character"
    return None


def complain_of_number(value, column, least=-_FLOAT32):
    """Complain of what is no number that float32 can hold, or less than `least`."""
    if not value.strip():
        return None  # Reported as empty.
    if _NUMBER.fullmatch(value) and least <= float(value) <= _FLOAT32:
        return None
    return f"bad {column}", "Expected a finite number" + (" of 0 or more" if least == 0 else "")


# --- Ids --------------------------------------------------------------------------------------


def nfc(value):
    """Return the normal form of Unicode in which ids and file names are compared."""
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def check_ids(table, column, *, ignore_case=False):
    """Report ids that are empty, stand twice, or cannot be told apart."""
    table.check(column, complain_of_empty)
    ids = table.columns[column]
    first = {}
    for row, value in enumerate(ids):
        if row in table.faulty:
            continue
        normal = nfc(value).casefold() if ignore_case else nfc(value)
        other = first.setdefault(normal, row)
        if other == row:
            continue
        line = table.lines[other]
        if value == ids[other]:
            table.report(row, column, "repeated id", f"It stands on line {line} too")
        elif nfc(value) == nfc(ids[other]):
            table.report(row, column, "id not distinct", f"{_SAME_LOOK} as on line {line}")
        else:
            message = f"This disk ignores upper and lower case, by which alone line {line} differs"
            table.report(row, column, "id not distinct", message)


def check_spelling(table, column):
    """Report values of which an earlier row has another Unicode form."""
    first = {}
    for value in dict.fromkeys(table.columns[column]):
        first.setdefault(nfc(value), value)
    complaint = "id not distinct", f"{_SAME_LOOK} as in other rows"
    table.check(column, lambda value: None if first[nfc(value)] == value else complaint)


# --- Types ------------------------------------------------------------------------------------


def to_frame(table, index, text=()):
    """Return the sound rows as a data frame.

    Args:
        table: `Table`.
        index: name of the column of ids, which become the index.
        text: names of the columns that stay text, even if they hold nothing but numbers.
    """
    columns = {
        name: table.sound_values(name) if name in text else _typed(table.sound_values(name))
        for name in table.columns
        if name != index
    }
    return pd.DataFrame(columns, index=pd.Index(table.sound_values(index), name=index))


def _typed(values):
    """Return strings as int64, Int64 (with gaps) or float64, or as they are if that would lose."""
    given = {value for value in values if value}
    if given and all(map(_PLAIN_INTEGER.fullmatch, given)):
        if max(map(len, given)) <= 20 and all(-(2**63) <= int(v) < 2**63 for v in given):
            if len(given) == len(set(values)):
                return np.array([int(value) for value in values], np.int64)
            return pd.array([int(value) if value else None for value in values], "Int64")
    elif given and all(map(_PLAIN_NUMBER.fullmatch, given)):
        whole = [value for value in given if _PLAIN_INTEGER.fullmatch(value)]
        if all(len(v) <= 15 for v in whole) and np.isfinite([float(v) for v in given]).all():
            return np.array([float(value) if value else np.nan for value in values])
    return values
