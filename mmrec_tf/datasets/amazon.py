"""Amazon Reviews 2023: what people wrote about products from 1996 to 2023, and the products."""

import json
import re
import warnings
from array import array
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_tf.datasets._published import (
    MOST_FAULTS,
    REMEDY,
    Source,
    numbered_lines,
)
from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.faults import Fault, FolderError
from mmrec_tf.datasets.timestamps import YEAR_2100

SOURCE = Source(
    "Amazon Reviews 2023",
    "https://amazon-reviews-2023.github.io",
    "available for research, without a licence; for terms its makers refer to "
    "https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023/discussions/1. Cite "
    "https://arxiv.org/abs/2403.03952",
)
_IN_1973_MS = 100_000_000_000  # What is in seconds is less than this, up to the year 5138.
_PRICE = re.compile(r"(?:from )?\$?(\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)", re.ASCII)
_NO_PRICE = {"", "None", "—"}


def load_amazon_reviews(folder, category):
    r"""Load one category of Amazon Reviews 2023 from files that you have downloaded.

    The files are as they are published, `<category>.jsonl` and `meta_<category>.jsonl`, each
    perhaps compressed, `.jsonl.gz`. One review is one interaction, of a user and a `parent_asin`,
    which the variants of a product share. Nothing is left out, but a warning counts

    - reviews of a pair of user and item beyond the first. They are kept, for they may be of another
      variant; the authors' own benchmarks keep only the earliest;
    - reviewed items without metadata. They have a row with the id alone, and no text;
    - prices that are no number, such as a range; they are missing;
    - further lines of metadata for the same item; the first holds.

    Terms of use, in short: available for research, without a licence; for terms its makers refer to
    https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023/discussions/1.

    Args:
        folder: the folder with both files.
        category: name of the category as in the files' names, such as `"All_Beauty"`.

    Returns:
        `Dataset` with reviews and users in the order of the file; users have no columns.
        `interactions` has `rating`, 1 to 5, and `timestamp`, of which the fractions of a second
        are cut off. `items`, those without a review too, in the order of the metadata:

        - `title`;
        - `category`: all levels from the widest on, joined by " > "; where there are none, the
          main category;
        - `price` in US dollars, float, often missing; of "from 4.99" it is the number;
        - `image_url`: address of the first large picture, empty if there is none.

        The modality `text` is title, features and description, on lines of their own. It is kept
        in memory, as the ids are; the texts of reviews are not.

    Raises:
        FileNotFoundError: if a file is missing; the message says where to get it.
        FolderError: a `ValueError` that names the lines and fields that cannot be read.

    References:
        Y. Hou, J. Li, Z. He, A. Yan, X. Chen, J. McAuley: Bridging language and items for
        retrieval and recommendation. 2024, https://arxiv.org/abs/2403.03952

    Example:

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> review = {"rating": 5.0, "parent_asin": "B1", "user_id": "A1", "timestamp": 1588687728923}
    >>> product = {"parent_asin": "B1", "title": "A comb", "categories": [], "price": "from 4.99",
    ...            "main_category": "All Beauty", "features": ["Fine teeth"], "description": [],
    ...            "images": []}
    >>> for name, record in [("All_Beauty", review), ("meta_All_Beauty", product)]:
    ...     _ = Path(folder.name, f"{name}.jsonl").write_text(json.dumps(record) + "\n")
    >>> beauty = load_amazon_reviews(folder.name, "All_Beauty")
    >>> beauty.items.loc["B1"].to_dict()
    {'title': 'A comb', 'category': 'All Beauty', 'price': 4.99, 'image_url': ''}
    >>> beauty.modalities["text"][0]
    'A comb\nFine teeth'
    >>> folder.cleanup()
    """
    folder = Path(folder)
    reviews, meta = (
        SOURCE.find(folder, f"{name}.jsonl", f"{name}.jsonl.gz")
        for name in (category, f"meta_{category}")
    )
    notes = []
    item_rows, items, texts = _read_items(meta, notes)
    n_described = len(items)
    users, log = _read_reviews(reviews, item_rows)
    n_bare = len(item_rows) - n_described
    if n_bare:
        notes.append(f"{n_bare:,} reviewed items have no metadata: they have an id and no text.")
        bare = pd.DataFrame(
            {"title": "", "category": "", "price": np.nan, "image_url": ""}, index=range(n_bare)
        )
        items = pd.concat([items, bare])
        texts += [""] * n_bare
    _note_repeats(log, len(item_rows), notes)
    if notes:
        warnings.warn("\n".join([f"Amazon Reviews 2023, {category}:", *notes]), stacklevel=2)
    return Dataset(
        f"Amazon Reviews 2023, {category}",
        pd.DataFrame(index=pd.Index(users, name="user_id")),
        items.set_axis(pd.Index(list(item_rows), name="item_id")),
        log,
        {"text": Modality.from_array(np.array(texts, dtype=object))},
    )


def _note_repeats(log, n_items, notes):
    pairs = pd.Series(log["user"].to_numpy(np.int64) * n_items + log["item"])
    n_again = int(pairs.duplicated().sum())
    if n_again:
        same = pd.DataFrame({"pair": pairs, "timestamp": log["timestamp"]}).duplicated().sum()
        notes.append(
            f"{n_again:,} reviews are of a user and an item that an earlier line has too, {same:,} "
            "of them at the same second. They are kept."
        )


# --- Lines ------------------------------------------------------------------------------------
# One by one: pandas' own reader of JSON lines keeps the texts of all reviews in memory, takes
# ids such as 0449819906 for numbers, and does not say which line it cannot read.


def _records(path, read):
    """Pass all records of a file to `read`, which raises `_FieldError`; gather the faults."""
    faults = []
    for number, line in numbered_lines(path):
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("no object")
        except ValueError as error:
            message = f"Expected a JSON object in UTF-8 on a line of its own ({error})"
            text = line.decode("utf-8", "replace").strip()
            faults.append(Fault(path.name, number, None, text, "not JSON", message))
        else:
            try:
                read(number, record)
            except _FieldError as error:
                faults.append(Fault(path.name, number, *error.args))
        if len(faults) == MOST_FAULTS:
            break
    if faults:
        raise FolderError(faults, REMEDY)


class _FieldError(Exception):
    """What is wrong with a field: its name, value, kind of fault and message."""


def _field(record, name):
    try:
        return record[name]
    except KeyError:
        raise _FieldError(name, None, "missing field", "Expected this field") from None


def _id(record, name):
    value = _field(record, name)
    if not isinstance(value, str) or not value:
        raise _FieldError(name, repr(value), f"bad {name}", "Expected a string that is not empty")
    return value


def _number(record, name, most, *, whole=False):
    value = _field(record, name)
    kind = int if whole else int | float
    if not isinstance(value, kind) or isinstance(value, bool) or not 0 <= value < most:
        what = "milliseconds since 1970, before 2100" if whole else "a finite number, 0 or more"
        raise _FieldError(name, repr(value), f"bad {name}", f"Expected {what}")
    return value


def _text(record, name):
    """Return a text, or a list of texts in one line; empty for null and where there is none."""
    value = record.get(name)
    if value is None:
        return ""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise _FieldError(name, repr(value), f"bad {name}", "Expected a text or a list of texts")
    return " ".join(parts)


# --- The two files ----------------------------------------------------------------------------


def _read_reviews(path, item_rows):
    """Return the users' ids and the log; add items that are not in `item_rows` to it."""
    user_rows = {}
    users, items, ratings, times = array("i"), array("i"), array("f"), array("q")

    def read(number, record):
        rating = _number(record, "rating", 1e9)
        time = _number(record, "timestamp", 1000 * YEAR_2100, whole=True)
        user, item = _id(record, "user_id"), _id(record, "parent_asin")
        users.append(user_rows.setdefault(user, len(user_rows)))
        items.append(item_rows.setdefault(item, len(item_rows)))
        ratings.append(rating)
        times.append(time)

    _records(path, read)
    if not times:
        fault = Fault(path.name, None, None, None, "no reviews", "Expected a review a line")
        raise FolderError([fault], REMEDY)
    milliseconds = np.array(times)
    if milliseconds.max() < _IN_1973_MS:
        message = "Expected milliseconds. All times are before 1974: are these seconds?"
        fault = Fault(path.name, None, "timestamp", str(times[0]), "bad timestamp", message)
        raise FolderError([fault], REMEDY)
    log = {"user": np.array(users), "item": np.array(items), "timestamp": milliseconds // 1000}
    return list(user_rows), pd.DataFrame(log | {"rating": np.array(ratings)})


def _read_items(path, notes):
    """Return row numbers by id, the items' frame without its index, and their texts."""
    rows, columns, texts = {}, {"title": [], "category": [], "price": [], "image_url": []}, []
    again, unpriced = [], []

    def read(number, record):
        item = _id(record, "parent_asin")
        if item in rows:
            again.append((number, item))
            return
        title = _text(record, "title")
        parts = [title, _text(record, "features"), _text(record, "description")]
        category = _category(record)
        price, given = _price(record.get("price"))
        image_url = _image_url(record.get("images"))
        if given is not None:
            unpriced.append((number, given))
        rows[item] = len(rows)
        for name, value in zip(columns, (title, category, price, image_url), strict=True):
            columns[name].append(value)
        texts.append("\n".join(filter(None, parts)))

    _records(path, read)
    for found, what in [
        (again, "lines of metadata are of an item that an earlier line has: the first holds"),
        (unpriced, "prices are no number: they are missing"),
    ]:
        if found:
            notes.append(
                f"{len(found):,} {what}. The first is {found[0][1]!r} ({path.name}, "
                f"line {found[0][0]:,})."
            )
    frame = pd.DataFrame(
        {
            name: pd.Series(values, dtype=object if name != "price" else float)
            for name, values in columns.items()
        }
    )
    return rows, frame, texts


def _category(record):
    levels = record.get("categories") or []
    if not isinstance(levels, list) or not all(isinstance(level, str) for level in levels):
        message = "Expected a list of texts"
        raise _FieldError("categories", repr(levels), "bad categories", message)
    return " > ".join(levels) or _text(record, "main_category")


def _price(value):
    """Return a price, and what stands there if that is neither a number nor no price."""
    if value is None or (isinstance(value, str) and value.strip() in _NO_PRICE):
        return np.nan, None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < np.inf:
        return float(value), None
    if isinstance(value, str) and (match := _PRICE.fullmatch(value.strip())):
        return float(match[1].replace(",", "")), None
    return np.nan, value


def _image_url(images):
    """Return the address of the first large picture."""
    message = "Expected a list of objects"
    if images is not None and not isinstance(images, list):
        raise _FieldError("images", repr(images), "bad images", message)
    for image in images or []:
        if not isinstance(image, dict):
            raise _FieldError("images", repr(image), "bad images", message)
        if isinstance(url := image.get("large"), str) and url:
            return url
    return ""
