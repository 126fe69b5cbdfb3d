"""Your own data: tables as CSV, and pictures, sound and clips in files named after their items."""

import os
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.faults import Fault, FolderError, FolderWarning
from mmrec_tf.datasets.media import (
    MediaError,
    check_audio,
    check_image,
    check_video,
    decode_audio,
    decode_image,
    decode_video,
)
from mmrec_tf.datasets.tables import (
    check_ids,
    check_spelling,
    complain_of_cell,
    complain_of_empty,
    complain_of_link,
    complain_of_number,
    nfc,
    read_table,
    similar_name,
    to_frame,
)
from mmrec_tf.datasets.timestamps import check_timestamps

# In the order in which their faults are listed; for files, the endings and what checks one.
_FOLDERS = {
    "images": (("jpg", "jpeg", "png"), check_image),
    "audio": (("wav",), check_audio),
    "video": (("gif", "mp4"), check_video),
}
_NAMES = ("items.csv", "users.csv", "interactions.csv", *_FOLDERS)

_NOT_IN_FILE_NAMES = '<>:"/\\|?*' if os.name == "nt" else "/"
_CHANGED = "The file is damaged inside, or has changed since the folder was loaded."


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
      (0 or more); no other column. A timestamp is Unix seconds or ISO 8601, `2024-05-01`,
      `2024-05-01T12:30:00Z` or `2024-05-01 12:30:00+02:00`, one kind in the file. Time without
      an offset is read as UTC, with a warning. Fractions of a second are cut off. The same user,
      item and time must not stand there twice; the same date may, where it has no time of day,
      for somebody may well come twice on a day.
    - `items.csv`: `item_id`, `title`, and columns of your own. A column that holds nothing but
      numbers and empty cells becomes numbers; one with leading zeros stays text, as all others.
    - `users.csv`, if there is one: `user_id` and columns of your own. Without it the users are
      those of the interactions, sorted.
    - `images/<item_id>.jpg`, `.jpeg` or `.png`, `audio/<item_id>.wav` and
      `video/<item_id>.gif` or `.mp4`, each for some or all items; hidden files are ignored.
      MP4 needs the package `av`: `pip install 'mmrec_tf[video]'`. A picture is read as what
      it is: a PNG may be called `.jpg`. Sound should have one channel of 16-bit integers; other
      channels and widths are converted, with a warning.

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
        skip_faulty: leave out faulty rows and files, and what refers to them. One
            `FolderWarning` lists what was left out and, with or without `skip_faulty`, what is
            converted. `check_folder` returns the same list.

    Returns:
        `Dataset`, named as the folder, items and users in the order of their files. Modalities,
        of which those without any content are left out:

        - `text`: the title and, on a new line, the column `description` if there is one;
        - `image`: uint8, `(*image_size, 3)`;
        - `audio`: int16, `(round(audio_rate * audio_seconds),)`, `rate=audio_rate`;
        - `video`: uint8, `(video_frames, *video_size, 3)`; its `rate` is None, because clips are
          sampled evenly, whatever their length.

    Raises:
        FolderError: a `ValueError` that lists every fault with its file, line, column and value;
            what is merely converted is not among them. Damage inside a well-formed file is
            raised when the file is decoded.
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
    mmrec_tf.datasets.faults.FolderError: 1 fault:
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
    to_mend = [fault for fault in faults if not fault.converted]
    if contents is None:
        raise FolderError(to_mend, "Mend the folder: without this nothing can be loaded.")
    if to_mend and not skip_faulty:
        raise FolderError(to_mend, "Mend the folder, or load what is sound with skip_faulty=True.")
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
    return Dataset.from_log(
        root.name,
        contents.log,
        users=contents.users,
        items=contents.items,
        modalities=modalities,
    )


def check_folder(path):
    r"""Return what is wrong in a folder that `load_folder` is to load.

    Args:
        path: the folder.

    Returns:
        List of `Fault`, by file and line, empty if all is well. Of those whose `converted` is
        True nothing is left out. `pd.DataFrame(faults)` makes a table of it. What belongs to items
        is looked at once items.csv can be read, and rows of a table once its separator is right,
        so mending may bring more to light: check again.

    Raises:
        ImportError: if there is an MP4 and the package `av` is not installed.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(*check_folder(folder), sep="\n")
    items.csv. Expected this file.
    interactions.csv. Expected this file.
    """
    return _read_folder(Path(path).resolve())[1]


@dataclass(frozen=True)
class _Contents:
    """What is sound in a folder; `files` has for each subfolder its files by item row number."""

    users: pd.DataFrame
    items: pd.DataFrame
    log: pd.DataFrame
    files: dict[str, dict[int, Path]]
    local_time: bool


def _read_folder(root):
    """Return what is sound, or None where nothing can be loaded, and the list of all faults."""
    if not root.is_dir():
        message = "Expected a folder" if root.exists() else "Expected a folder. It does not exist"
        return None, [Fault(_printable(root), None, None, None, "missing folder", message)]
    faults = []
    names = set(os.listdir(root))
    for name in sorted(names - set(_NAMES)):
        if meant := similar_name(name, set(_NAMES) - names):
            message = f"If {meant} is meant, rename it; else take a name that is less similar"
            faults.append(Fault(_printable(name), None, None, None, "similar name", message))

    items = read_table(root, "items.csv", ("item_id", "title"), ("description",), faults)
    log = read_table(
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
        users = read_table(root, "users.csv", ("user_id",), (), faults)
        complete = complete and users is not None

    files = {folder: {} for folder in _FOLDERS}
    if items is not None:
        folders = names.intersection(_FOLDERS)
        check_ids(items, "item_id", ignore_case=bool(folders) and _ignores_case(root, names))
        if folders:
            items.check("item_id", _complain_of_file_name)
        for column in items.columns:
            items.check(column, complain_of_cell)
        for folder in folders:
            files[folder] = _find_files(root, folder, items, faults)
    if users is not None:
        check_ids(users, "user_id")
        for column in users.columns:
            users.check(column, complain_of_cell)
    if log is not None:
        seconds, local_time = _check_interactions(log, users, items)

    faults.sort(key=lambda fault: (_rank(fault.file), fault.line or 0))
    if not complete or not items.sound_rows() or not log.sound_rows():
        return None, faults
    return _assemble(items, users, log, seconds, files, local_time), faults


def _assemble(items, users, log, seconds, files, local_time):
    """Return the sound rows of the tables, and the files by item row number."""
    interactions = {column: log.sound_values(column) for column in log.columns}
    interactions["timestamp"] = seconds[log.sound_rows()]
    for column in {"rating", "weight"}.intersection(interactions):
        interactions[column] = [float(value) for value in interactions[column]]
    if users is None:
        ids = sorted(set(interactions["user_id"]))
        user_frame = pd.DataFrame(index=pd.Index(ids, name="user_id"))
    else:
        user_frame = to_frame(users, "user_id")
    item_frame = to_frame(items, "item_id", text=("title", "description"))
    number = {row: n for n, row in enumerate(items.sound_rows())}
    files = {
        folder: {number[row]: file for row, file in found.items()}
        for folder, found in files.items()
    }
    return _Contents(user_frame, item_frame, pd.DataFrame(interactions), files, local_time)


def _rank(file):
    """Return where a file's faults stand: tables first, a fault of the whole folder before them."""
    name = file.partition("/")[0]
    return (_NAMES.index(name), file) if name in _NAMES else (-1, file)


def _texts(items):
    """Return each item's title and, on a new line, its description."""
    columns = [items[name] for name in ("title", "description") if name in items]
    texts = ["\n".join(filter(None, row)) for row in zip(*columns, strict=True)]
    return np.array(texts, dtype=object)


# --- Interactions -----------------------------------------------------------------------------


def _check_interactions(log, users, items):
    """Report faulty rows; return Unix seconds and whether UTC was assumed for a time of day."""
    for column in log.columns:
        log.check(column, complain_of_empty)
    log.check("user_id", complain_of_cell)
    if users is None:
        check_spelling(log, "user_id")
    else:
        _check_known(log, "user_id", users)
    if items is not None:
        _check_known(log, "item_id", items)
    seconds, dates, local_time = check_timestamps(log)
    if "rating" in log.columns:
        log.check("rating", lambda value: complain_of_number(value, "rating"))
    if "weight" in log.columns:
        log.check("weight", lambda value: complain_of_number(value, "weight", least=0))

    # A user may well come twice on a day, but hardly twice at the same time of it.
    candidates = ~dates
    candidates[list(log.faulty)] = False
    keys = pd.DataFrame(
        {"user": log.columns["user_id"], "item": log.columns["item_id"], "seconds": seconds}
    )[candidates]
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
    find = _finder(table, column)
    log.check(column, lambda value: find(value)[1] if value.strip() else None)


def _finder(table, column, normal=lambda value: value):
    """Return a function from an id to its row in a table and what there is to complain of."""
    ids = table.columns[column]
    row_of = {normal(value): row for row, value in reversed(list(enumerate(ids)))}
    plain = {}

    def find(value):
        row = row_of.get(normal(value))
        if row is None:
            if not plain:
                plain.update((_plain(each), each) for each in ids)
            similar = plain.get(_plain(value))
            hint = f", which has {similar!r}" if similar else ": add it there, or remove it here"
            kind = f"unknown {column.removesuffix('_id')}"
            return None, (kind, f"Not in {table.file}{hint}")
        if row in table.faulty:
            message = f"Its row in {table.file}, line {table.lines[row]}, is faulty"
            return row, ("faulty row", message)
        return row, None

    return find


def _plain(value):
    """Return an id without what spreadsheets and typists change: "007" and " 7.0" become "7"."""
    plain = unicodedata.normalize("NFKC", value).strip().casefold().removesuffix(".0")
    return plain.lstrip("0") or plain


# --- Files ------------------------------------------------------------------------------------


def _complain_of_file_name(value):
    wrong = next((c for c in _NOT_IN_FILE_NAMES if c in value), None)
    if wrong is None and value.startswith("."):
        wrong = "a dot at its beginning"
    if wrong is None and len(os.fsencode(value)) > 250:
        wrong = "more than 250 bytes"
    if wrong:
        return "no file name", f"Expected an id that can name a file. It has {wrong}"
    return None


def _find_files(root, folder, items, faults):
    """Return the sound files of a subfolder by their item's row in items.csv."""
    suffixes, check = _FOLDERS[folder]
    find = _finder(items, "item_id", nfc)
    found = {}

    def complain(file, kind, message, value=None, *, converted=False):
        faults.append(Fault(_printable(file), None, None, value, kind, message, converted))

    if complaint := complain_of_link(root, root / folder):
        complain(folder, *complaint)
        return found
    try:
        entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
    except OSError as error:
        complain(folder, "unreadable", f"Expected a folder that can be read ({error.strerror})")
        return found
    for entry in entries:
        file, path = f"{folder}/{entry.name}", Path(entry.path)
        if entry.name.startswith(".") or entry.name in ("Thumbs.db", "desktop.ini"):
            continue
        stem, _, suffix = entry.name.rpartition(".")
        row, complaint = find(stem)
        if suffix.lower() not in suffixes:
            names = ", ".join(f"<item_id>.{each}" for each in suffixes)
            complain(file, "wrong file name", f"Expected {names}", entry.name)
        elif entry.is_symlink() and (leads_out := complain_of_link(root, path)):
            complain(file, *leads_out)
        elif not entry.is_file():
            complain(file, "unreadable", "Expected a file")
        elif complaint:
            complain(file, *complaint, stem)
        elif row in found:
            message = f"Expected one file an item. {_printable(found[row].name)} is another"
            complain(file, "two files", message, stem)
        else:
            try:
                conversions = check(path) or ()  # Only sound has any.
            except MediaError as error:
                complain(file, error.kind, error.message)
            except OSError as error:
                complain(file, "unreadable", f"Expected to read it ({error.strerror})")
            else:
                found[row] = path
                for kind, message, value in conversions:
                    complain(file, kind, message, value, converted=True)
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


def _ignores_case(root, names):
    return "ITEMS.CSV" not in names and (root / "ITEMS.CSV").exists()


def _printable(file):
    """Return a path with forward slashes, without the bytes that no text can hold."""
    return Path(file).as_posix().encode("utf-8", "backslashreplace").decode()
