"""Your own data: tables as CSV, and pictures, sound and clips in files named after their items."""

import csv
import difflib
import io
import os
import re
import reprlib
import unicodedata
import warnings
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.media import (
    MediaError,
    check_audio,
    check_image,
    check_video,
    decode_audio,
    decode_image,
    decode_video,
)

# In the order in which their faults are listed; for files, the endings and what checks one.
_FOLDERS = {
    "images": (("jpg", "jpeg", "png"), check_image),
    "audio": (("wav",), check_audio),
    "video": (("gif", "mp4"), check_video),
}
_NAMES = ("items.csv", "users.csv", "interactions.csv", *_FOLDERS)
_SHOWN = 20

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_PLAIN_INTEGER = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_FLOAT32 = float(np.finfo(np.float32).max)

_SECONDS = re.compile(r"-?\d+(\.\d*)?", re.ASCII)
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(?P<zone>Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII
)
_UNIX, _ISO_OFFSET, _ISO_LOCAL = (
    "Unix seconds",
    "ISO 8601 with an offset",
    "ISO 8601 without offset",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_2100 = 4_102_444_800
_FINER = (("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))

_NOT_IN_FILE_NAMES = '<>:"/\\|?*' if os.name == "nt" else "/"
_SAVE_AS_UTF8 = "Save it again as CSV UTF-8"
_OUTSIDE = "It leads out of the folder: put the file itself here"
_SAME_LOOK = "Another Unicode form (NFC) of the same id"
_CHANGED = "The file is damaged inside, or has changed since the folder was loaded."


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a folder.

    Args:
        file: path inside the folder, with forward slashes.
        line: line of a CSV file, from 1, on which the row begins; None for the file as a whole.
        column: name of the column, or None.
        value: what stands there, or None.
        kind: a few words that faults of the same kind share, such as "unknown item".
        message: what was expected, and what to do.
    """

    file: str
    line: int | None
    column: str | None
    value: str | None
    kind: str
    message: str

    def __str__(self):
        line = f", line {self.line}" if self.line else ""
        column = f", {self.column}" if self.column else ""
        value = "" if self.value is None else f": {_short.repr(self.value)}"
        return f"{self.file}{line}{column}{value}. {self.message}."


_short = reprlib.Repr()
_short.maxstring = 60


class FolderError(ValueError):
    """What is wrong in a folder, all of it; `faults` is the list of `Fault`."""

    def __init__(self, faults, remedy):
        super().__init__(faults, remedy)
        self.faults = faults
        self.remedy = remedy

    def __str__(self):
        return f"{_listing(self.faults)}\n{self.remedy}"


class FolderWarning(UserWarning):
    """What `load_folder(..., skip_faulty=True)` left out; `faults` is the list of `Fault`."""

    def __init__(self, faults):
        super().__init__(faults)
        self.faults = faults

    def __str__(self):
        return f"Left out because of {_listing(self.faults)}"


def load_folder(
    path,
    *,
    image_size=(64, 64),
    audio_rate=16_000,
    audio_seconds=1.0,
    video_frames=8,
    video_size=(32, 32),
    skip_faulty=False,
):
    r"""Load a folder of your own data, after checking all of it.

    The folder holds

    - `interactions.csv`: `user_id`, `item_id`, `timestamp`, and perhaps `rating` and `weight`
      (0 or more); no other column, and no row twice. A timestamp is Unix seconds or ISO 8601,
      `2024-05-01`, `2024-05-01T12:30:00Z` or `2024-05-01 12:30:00+02:00`, one kind in the file.
      Time without an offset is read as UTC, with a warning. Fractions of a second are cut off.
    - `items.csv`: `item_id`, `title`, and columns of your own. A column that holds nothing but
      numbers and empty cells becomes numbers; one with leading zeros stays text, as all others.
    - `users.csv`, if there is one: `user_id` and columns of your own. Without it the users are
      those of the interactions, sorted.
    - `images/<item_id>.jpg`, `.jpeg` or `.png`, `audio/<item_id>.wav` and
      `video/<item_id>.gif` or `.mp4`, each for some or all items; hidden files are ignored.
      MP4 needs the package `av`: `pip install 'mmrec_tf[video]'`.

    Tables are UTF-8, with commas between the fields and one line of column names. An id is a
    string, exactly as it stands there: "007" is not "7". File names and ids are compared in
    Unicode's normal form NFC, because some disks store another.

    Files are decoded when `dataset.modalities[name][items]` asks for them, each time anew;
    `Modality.from_array(modality[np.arange(len(modality))])` keeps all of them in memory.

    Args:
        path: the folder.
        image_size: height and width, pixels. A picture is scaled to it as a whole, whatever its
            proportions, and turned as its EXIF data says; transparency becomes white.
        audio_rate: samples a second, to which sound is resampled; channels are averaged.
        audio_seconds: seconds of sound that are kept from its beginning; shorter sound ends in
            zeros.
        video_frames: frames, taken evenly from the whole clip; a shorter clip repeats some.
        video_size: height and width of a frame, as `image_size`.
        skip_faulty: leave out faulty rows and files, and what refers to them, and warn of it with
            one `FolderWarning`. `check_folder` returns the same list.

    Returns:
        `Dataset`, named as the folder, items and users in the order of their files. Modalities,
        of which those without any content are left out:

        - `text`: the title and, on a new line, the column `description` if there is one;
        - `image`: uint8, `(*image_size, 3)`;
        - `audio`: int16, `(round(audio_rate * audio_seconds),)`;
        - `video`: uint8, `(video_frames, *video_size, 3)`.

    Raises:
        FolderError: a `ValueError` that lists every fault with its file, line, column and value.
            Damage inside a well-formed file is raised when the file is decoded.
        ImportError: if there is an MP4 and the package `av` is not installed.
        ValueError: if an option is out of range.

    Example:

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory(prefix="shop-")
    >>> tables = {
    ...     "items.csv": "item_id,title,price\n007,A red mug,4.5\n008,A lamp,20\n",
    ...     "interactions.csv": "user_id,item_id,timestamp\nann,007,1700000000\nbo,8,1700000060",
    ... }
    >>> for name, text in tables.items():
    ...     _ = Path(folder.name, name).write_text(text, encoding="utf-8")
    >>> load_folder(folder.name)
    Traceback (most recent call last):
      ...
    mmrec_tf.datasets.folder.FolderError: 1 fault:
    unknown item (1)
      interactions.csv, line 3, item_id: '8'. Not in items.csv, which has '008'.
    Mend the folder, or load what is sound with skip_faulty=True.
    >>> _ = Path(folder.name, "interactions.csv").write_text(
    ...     tables["interactions.csv"].replace(",8,", ",008,"), encoding="utf-8"
    ... )
    >>> shop = load_folder(folder.name)
    >>> shop.modalities["text"][shop.item_index(["008"])]
    array(['A lamp'], dtype=object)
    >>> folder.cleanup()
    """
    counts = {"audio_rate": audio_rate, "video_frames": video_frames}
    for name, pair in [("image_size", image_size), ("video_size", video_size)]:
        if np.shape(pair) != (2,):
            raise ValueError(f"Expected `{name}` to be (height, width). Received: {pair!r}.")
        counts |= {f"{name}[0]": pair[0], f"{name}[1]": pair[1]}
    for name, value in counts.items():
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"Expected `{name}` to be a positive integer. Received: {value!r}.")
    n_samples = round(audio_rate * audio_seconds)
    if n_samples < 1:
        raise ValueError(
            f"Expected `audio_seconds` of at least one sample. Received: {audio_seconds!r}."
        )

    root = Path(path).resolve()
    contents, faults = _read_folder(root)
    if contents is None:
        raise FolderError(faults, "Mend the folder: without this nothing can be loaded.")
    if faults and not skip_faulty:
        raise FolderError(faults, "Mend the folder, or load what is sound with skip_faulty=True.")
    if faults:
        warnings.warn(FolderWarning(faults), stacklevel=2)
    if contents.local_time:
        warnings.warn(
            "interactions.csv: timestamps without an offset from UTC are read as UTC. Write it, "
            "as in 2024-05-01T12:30:00Z or 2024-05-01T12:30:00+02:00.",
            stacklevel=2,
        )

    files, n_items = contents.files, len(contents.items)
    modalities = {
        "text": Modality.from_array(_texts(contents.items)),
        "image": _modality(
            lambda file: decode_image(file, image_size),
            files["images"],
            n_items,
            (*image_size, 3),
            np.uint8,
        ),
        "audio": _modality(
            lambda file: decode_audio(file, audio_rate, n_samples),
            files["audio"],
            n_items,
            (n_samples,),
            np.int16,
            audio_rate,
        ),
        "video": _modality(
            lambda file: decode_video(file, video_frames, video_size),
            files["video"],
            n_items,
            (video_frames, *video_size, 3),
            np.uint8,
        ),
    }
    modalities = {name: each for name, each in modalities.items() if each.present.any()}
    return Dataset(root.name, contents.users, contents.items, contents.interactions, modalities)


def check_folder(path):
    """Return what is wrong in a folder that `load_folder` is to load.

    Args:
        path: the folder.

    Returns:
        List of `Fault`, by file and line, empty if all is well. `pd.DataFrame(faults)` makes a
        table of it.

    Raises:
        ImportError: if there is an MP4 and the package `av` is not installed.
    """
    return _read_folder(Path(path).resolve())[1]


@dataclass(frozen=True)
class _Contents:
    """What is sound in a folder; `files` has for each subfolder its files by item row number."""

    users: pd.DataFrame
    items: pd.DataFrame
    interactions: pd.DataFrame
    files: dict[str, dict[int, Path]]
    local_time: bool


@dataclass(frozen=True)
class _Table:
    """The rows of a CSV file that have all fields, and which of them turned out to be faulty."""

    file: str
    columns: dict[str, list[str]]
    lines: list[int]
    faults: list[Fault]
    faulty: set[int] = field(default_factory=set)

    def report(self, row, column, kind, message):
        value = self.columns[column][row]
        self.faults.append(Fault(self.file, self.lines[row], column, value, kind, message))
        self.faulty.add(row)

    def check(self, column, complain):
        """Report every value for which `complain` returns a kind and a message, not None."""
        values = self.columns[column]
        # Each different value once: a million interactions name far fewer items.
        complaints = {v: found for v in set(values) if (found := complain(v))}
        if complaints:
            for row, value in enumerate(values):
                if value in complaints:
                    self.report(row, column, *complaints[value])

    def sound(self):
        return [row for row in range(len(self.lines)) if row not in self.faulty]


def _read_folder(root):
    """Return what is sound, or None where nothing can be loaded, and the list of all faults."""
    if not root.is_dir():
        message = "Expected a folder" if root.exists() else "Expected a folder. It does not exist"
        return None, [Fault(_printable(root), None, None, None, "missing folder", message)]
    faults = []
    names = set(os.listdir(root))
    for name in sorted(names - set(_NAMES)):
        if meant := _similar(name, set(_NAMES) - names):
            message = f"If {meant} is meant, rename it; else take a name that is less similar"
            faults.append(Fault(_printable(name), None, None, None, "similar name", message))

    items = _read_table(root, "items.csv", ("item_id", "title"), ("description",), faults)
    log = _read_table(
        root,
        "interactions.csv",
        ("user_id", "item_id", "timestamp"),
        ("rating", "weight"),
        faults,
        own_columns=False,
    )
    users = None
    complete = items is not None and log is not None
    if "users.csv" in names:
        users = _read_table(root, "users.csv", ("user_id",), (), faults)
        complete = complete and users is not None

    files = {folder: {} for folder in _FOLDERS}
    if items is not None:
        folders = names.intersection(_FOLDERS)
        _check_ids(items, "item_id", ignore_case=bool(folders) and _ignores_case(root, names))
        if folders:
            items.check("item_id", _complain_of_file_name)
        for column in items.columns:
            items.check(column, _complain_of_cell)
        for folder in folders:
            files[folder] = _find_files(root, folder, items, faults)
    if users is not None:
        _check_ids(users, "user_id")
        for column in users.columns:
            users.check(column, _complain_of_cell)
    if log is not None:
        seconds, local_time = _check_interactions(log, users, items)

    faults.sort(key=lambda fault: (_rank(fault.file), fault.line or 0))
    if not complete or not items.sound() or not log.sound():
        return None, faults
    return _assemble(items, users, log, seconds, files, local_time), faults


def _assemble(items, users, log, seconds, files, local_time):
    """Return the sound rows of the tables, and the files by item row number."""
    log_rows = log.sound()
    log_users = _take(log.columns["user_id"], log_rows)
    item_frame = _frame(items, "item_id")
    if users is None:
        user_frame = pd.DataFrame(index=pd.Index(sorted(set(log_users)), name="user_id"))
    else:
        user_frame = _frame(users, "user_id")
    interactions = {
        "user": _numbers(user_frame, log_users),
        "item": _numbers(item_frame, _take(log.columns["item_id"], log_rows)),
        "timestamp": seconds[log_rows],
    }
    for column in ("rating", "weight"):
        if column in log.columns:
            values = map(float, _take(log.columns[column], log_rows))
            interactions[column] = np.fromiter(values, np.float32, len(log_rows))
    number = {row: n for n, row in enumerate(items.sound())}
    files = {
        folder: {number[row]: file for row, file in found.items()}
        for folder, found in files.items()
    }
    return _Contents(user_frame, item_frame, pd.DataFrame(interactions), files, local_time)


def _rank(file):
    """Return where a file's faults stand: tables first, a fault of the whole folder before them."""
    name = file.partition("/")[0]
    return (_NAMES.index(name), file) if name in _NAMES else (-1, file)


def _take(values, rows):
    return values if len(rows) == len(values) else [values[row] for row in rows]


def _numbers(frame, ids):
    """Return the row numbers of `ids`, all of which the frame has."""
    numbers = {each: n for n, each in enumerate(frame.index)}
    return np.fromiter(map(numbers.__getitem__, ids), np.int32, len(ids))


# --- Tables -----------------------------------------------------------------------------------


def _read_text(root, file, faults):
    """Return the text of a file, or None and a fault."""

    def complain(kind, message, line=None, value=None):
        faults.append(Fault(file, line, None, value, kind, message))

    path = root / file
    if not os.path.lexists(path):
        return complain("missing file", "Expected this file")
    if _leaves(root, path):
        return complain("outside", _OUTSIDE)
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


def _read_table(root, file, required, optional, faults, *, own_columns=True):
    """Return the rows of a file that have all fields, or None and a fault."""
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
    return _Table(file, columns, lines, faults)


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
        if name not in known and (likely := _similar(name, set(known) - set(header))):
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
        elif complaint := _complain_of_cell(name):
            complain(name, name, *complaint)
        else:
            names.append(name)
    return names


def _similar(name, known):
    """Return which of `known` a name was likely meant to be, or None."""
    plain = {re.sub(r"[\s_-]", "", each.casefold()): each for each in sorted(known)}
    close = difflib.get_close_matches(re.sub(r"[\s_-]", "", name.casefold()), plain, 1, 0.8)
    return plain[close[0]] if close else None


def _complain_of_cell(value):
    if "\0" in value:
        return "NUL byte", "Expected text. Was it saved as UTF-16? " + _SAVE_AS_UTF8
    # https://owasp.org/www-community/attacks/CSV_Injection
    if len(value) > 1 and value[0] in "=+-@\t\r" and not _NUMBER.fullmatch(value):
        return "formula", "A spreadsheet may run this: begin it with another character"
    return None


def _check_ids(table, column, *, ignore_case=False):
    """Report ids that are empty, stand twice, or cannot be told apart."""
    table.check(column, _complain_of_empty)
    first = {}
    for row, value in enumerate(table.columns[column]):
        if row in table.faulty:
            continue
        normal = _nfc(value).casefold() if ignore_case else _nfc(value)
        other = first.setdefault(normal, row)
        if other == row:
            continue
        line = table.lines[other]
        if value == table.columns[column][other]:
            table.report(row, column, "repeated id", f"It stands on line {line} too")
        elif _nfc(value) == _nfc(table.columns[column][other]):
            table.report(row, column, "id not distinct", f"{_SAME_LOOK} as on line {line}")
        else:
            message = f"This disk ignores upper and lower case, by which alone line {line} differs"
            table.report(row, column, "id not distinct", message)


def _complain_of_empty(value):
    return None if value.strip() else ("empty value", "Expected a value")


def _complain_of_file_name(value):
    wrong = next((c for c in _NOT_IN_FILE_NAMES if c in value), None)
    if wrong is None and value.startswith("."):
        wrong = "a dot at its beginning"
    if wrong is None and len(os.fsencode(value)) > 250:
        wrong = "more than 250 bytes"
    if wrong:
        return "no file name", f"Expected an id that can name a file. It has {wrong}"
    return None


def _frame(table, index):
    """Return the sound rows as a data frame, numbers as numbers."""
    rows = table.sound()
    columns = {name: _take(values, rows) for name, values in table.columns.items()}
    ids = pd.Index(columns.pop(index), name=index)
    text = ("title", "description")
    return pd.DataFrame(
        {name: v if name in text else _typed(v) for name, v in columns.items()}, index=ids
    )


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


def _texts(items):
    """Return each item's title and, on a new line, its description."""
    columns = [items[name] for name in ("title", "description") if name in items]
    texts = ["\n".join(filter(None, row)) for row in zip(*columns, strict=True)]
    return np.array(texts, dtype=object)


# --- Interactions -----------------------------------------------------------------------------


def _check_interactions(log, users, items):
    """Report faulty rows; return Unix seconds and whether UTC was assumed for a time of day."""
    for column in ("user_id", "item_id", "timestamp", "rating", "weight"):
        if column in log.columns:
            log.check(column, _complain_of_empty)
    log.check("user_id", _complain_of_cell)
    if users is not None:
        _check_known(log, "user_id", users)
    else:
        first = {}
        for value in dict.fromkeys(log.columns["user_id"]):
            first.setdefault(_nfc(value), value)
        log.check(
            "user_id",
            lambda value: (
                ("id not distinct", f"{_SAME_LOOK} as in other rows")
                if first[_nfc(value)] != value
                else None
            ),
        )
    if items is not None:
        _check_known(log, "item_id", items)
    seconds, local_time = _check_timestamps(log)
    if "rating" in log.columns:
        log.check("rating", lambda value: _complain_of_number(value, "rating", -_FLOAT32))
    if "weight" in log.columns:
        log.check("weight", lambda value: _complain_of_number(value, "weight", 0))

    keys = pd.DataFrame(
        {
            "user": pd.factorize(np.array(log.columns["user_id"], dtype=object))[0],
            "item": pd.factorize(np.array(log.columns["item_id"], dtype=object))[0],
            "timestamp": seconds,
        }
    ).drop(index=list(log.faulty))
    first = {}
    for row, *key in keys[keys.duplicated(keep=False)].itertuples():
        other = first.setdefault(tuple(key), row)
        if other != row:
            message = (
                f"Line {log.lines[other]} has the same user, item and time: "
                "keep one; a column `weight` can say how often"
            )
            log.report(row, "timestamp", "repeated interaction", message)
    return seconds, local_time


def _check_known(log, column, table):
    """Report ids in the interactions that another table does not have."""
    ids = table.columns[column]
    row_of = {value: row for row, value in reversed(list(enumerate(ids)))}
    plain = {}

    def complain(value):
        row = row_of.get(value)
        if row is None:
            if not plain:
                plain.update((_plain(each), each) for each in ids)
            return _complain_of_unknown(value, table.file, plain)
        if row in table.faulty:
            return "faulty row", f"Its row in {table.file}, line {table.lines[row]}, is faulty"
        return None

    log.check(column, lambda value: complain(value) if value.strip() else None)


def _complain_of_unknown(value, file, plain):
    similar = plain.get(_plain(value))
    hint = f", which has {similar!r}" if similar else ": add it there, or remove it here"
    return f"unknown {file.removesuffix('s.csv')}", f"Not in {file}{hint}"


def _plain(value):
    """Return an id without what spreadsheets and typists change: "007" and " 7.0" become "7"."""
    plain = unicodedata.normalize("NFKC", value).strip().casefold().removesuffix(".0")
    return plain.lstrip("0") or plain


def _complain_of_number(value, column, least):
    if not value.strip():
        return None  # Reported as empty.
    if _NUMBER.fullmatch(value) and least <= float(value) <= _FLOAT32:
        return None
    return f"bad {column}", "Expected a finite number" + (" of 0 or more" if least == 0 else "")


def _check_timestamps(log):
    values = log.columns["timestamp"]
    read = {value: _read_time(value) for value in set(values)}
    kinds = Counter(read[value][0] for value in values)
    kinds.pop(None, None)
    usual = kinds.most_common(1)[0][0] if kinds else None
    # 20240501 is a time in August 1970, but a log that holds nothing else means dates.
    all_dates = usual == _UNIX and all(
        re.fullmatch(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])", value)
        for value, (kind, _) in read.items()
        if kind
    )

    def complain(value):
        kind, seconds = read[value]
        if not value.strip():
            return None  # Reported as empty.
        if kind is None:
            return (
                "bad timestamp",
                "Expected Unix seconds or ISO 8601, such as 1714566600 or 2024-05-01T12:30:00Z",
            )
        if kind != usual:
            message = f"Expected {usual}, as in most rows: one file holds one kind"
            return "mixed timestamps", message
        if all_dates:
            return "bad timestamp", "Expected Unix seconds; a date is written 2024-05-01"
        if seconds < 0:
            return "bad timestamp", "Expected a time since 1970"
        if seconds >= _YEAR_2100:
            unit = next(
                (
                    f": are these {unit}? Divide by {factor:,}"
                    for unit, factor in _FINER
                    if kind == _UNIX and seconds < _YEAR_2100 * factor
                ),
                "",
            )
            return "bad timestamp", f"Expected a time before the year 2100{unit}"
        return None

    log.check("timestamp", complain)
    seconds = np.zeros(len(values), np.int64)
    for row, value in enumerate(values):
        seconds[row] = 0 if row in log.faulty else read[value][1]
    local_time = usual == _ISO_LOCAL and any(len(value) > 10 for value in read)
    return seconds, local_time


def _read_time(value):
    """Return the kind of a timestamp and its whole seconds since 1970; None, None if unreadable."""
    if _SECONDS.fullmatch(value):
        # Not int(value): it refuses thousands of digits, and a float is exact up to 2100.
        seconds = float(value)
        return _UNIX, int(seconds) if np.isfinite(seconds) else 2**62
    match = _ISO.fullmatch(value)
    if match is None:
        return None, None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:  # such as February 30
        return None, None
    if match["zone"] is None:
        return _ISO_LOCAL, (moment.replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
    return _ISO_OFFSET, (moment - _EPOCH) // timedelta(seconds=1)


# --- Files ------------------------------------------------------------------------------------


def _find_files(root, folder, items, faults):
    """Return the sound files of a subfolder by their item's row in items.csv."""
    suffixes, check = _FOLDERS[folder]
    ids = items.columns["item_id"]
    row_of = {_nfc(value): row for row, value in reversed(list(enumerate(ids)))}
    plain = {}
    found = {}

    def complain(file, kind, message, value=None):
        faults.append(Fault(_printable(file), None, None, value, kind, message))

    if _leaves(root, root / folder):
        complain(folder, "outside", _OUTSIDE)
        return found
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except OSError as error:
        complain(folder, "unreadable", f"Expected a folder that can be read ({error.strerror})")
        return found
    for entry in entries:
        file = f"{folder}/{entry.name}"
        if entry.name.startswith(".") or entry.name in ("Thumbs.db", "desktop.ini"):
            continue
        stem, _, suffix = entry.name.rpartition(".")
        row = row_of.get(_nfc(stem))
        if suffix.lower() not in suffixes:
            names = ", ".join(f"<item_id>.{each}" for each in suffixes)
            complain(file, "wrong file name", f"Expected {names}", entry.name)
        elif entry.is_symlink() and _leaves(root, Path(entry.path)):
            complain(file, "outside", _OUTSIDE)
        elif not entry.is_file():
            complain(file, "unreadable", "Expected a file")
        elif row is None:
            if not plain:
                plain.update((_plain(each), each) for each in ids)
            complain(file, *_complain_of_unknown(stem, items.file, plain), stem)
        elif row in items.faulty:
            message = f"The item's row in {items.file}, line {items.lines[row]}, is faulty"
            complain(file, "faulty row", message, stem)
        elif row in found:
            message = f"Expected one file an item. {_printable(found[row].name)} is another"
            complain(file, "two files", message, stem)
        else:
            try:
                check(Path(entry.path))
            except MediaError as error:
                complain(file, error.kind, error.message)
            except OSError as error:
                complain(file, "unreadable", f"Expected to read it ({error.strerror})")
            else:
                found[row] = Path(entry.path)
    return found


def _modality(decode, files, n_items, shape, dtype, rate=None):
    """Return the `Modality` whose content `decode` reads from the items' files."""
    present = np.zeros(n_items, bool)
    present[list(files)] = True

    def read(items):
        content = np.empty((len(items), *shape), dtype)
        for place, item in enumerate(items):
            file = files[item]
            try:
                content[place] = decode(file)
            except Exception as error:  # Decoders raise all kinds of errors for damaged content.
                fault = Fault(_printable(file), None, None, None, "undecodable", str(error))
                raise FolderError([fault], _CHANGED) from error
        return content

    return Modality(present, read, shape, dtype, rate)


def _nfc(value):
    return value if value.isascii() else unicodedata.normalize("NFC", value)


def _leaves(root, path):
    return not path.resolve().is_relative_to(root)


def _ignores_case(root, names):
    return "ITEMS.CSV" not in names and (root / "ITEMS.CSV").exists()


def _printable(file):
    """Return a path with forward slashes, without the bytes that no text can hold."""
    return Path(file).as_posix().encode("utf-8", "backslashreplace").decode()


def _listing(faults):
    """Return the faults by kind, at most `_SHOWN` of each."""
    kinds = {}
    for fault in faults:
        kinds.setdefault(fault.kind, []).append(fault)
    lines = [f"{len(faults):,} fault{'s' if len(faults) > 1 else ''}:"]
    for kind, group in kinds.items():
        lines.append(f"{kind} ({len(group):,})")
        lines += [f"  {fault}" for fault in group[:_SHOWN]]
        if len(group) > _SHOWN:
            lines.append(f"  and {len(group) - _SHOWN:,} more")
    return "\n".join(lines)
