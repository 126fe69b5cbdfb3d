"""MIND: which news people were shown at Microsoft News in 2019, and which they opened."""

import warnings
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_tf.datasets._published import (
    MOST_FAULTS,
    REMEDY,
    Source,
    faults_of_rows,
    read_fields,
)
from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.faults import Fault, FolderError

SOURCE = Source(
    "MIND, the Microsoft News Dataset",
    "https://msnews.github.io",
    "Microsoft Research License Terms, for non-commercial research, "
    "https://github.com/msnews/MIND/blob/master/MSR%20License_Data.pdf",
)
_NEWS = ["id", "category", "subcategory", "title", "abstract", "url"]
_ENTITIES = ["title_entities", "abstract_entities"]
_BEHAVIOURS = ["impression", "user", "time", "history", "impressions"]


def load_mind(folder):
    r"""Load the clicks of MIND, training or validation set, from files that you have downloaded.

    The folder holds `news.tsv` and `behaviors.tsv` as they are published.

    A line of `behaviors.tsv` is one visit: the news shown, of which some were opened, and the
    user's history, the news opened before the log began, in order but without times. As long as
    the log lasts, the history stays the same in all visits of a user. It is not lost: each piece
    of a history becomes an interaction too, one second after the other, the last one a second
    before the first visit of all in the log. These times are **made up**: they say what came
    before what in one user's history, and that all of it came before the log, and nothing else.
    `users["n_history"]` counts them, and the first `users["n_history"].sum()` rows of
    `interactions` are these; the others are clicks, at the time of their visit. Where the visits
    of a user do differ in their history, which they should not, the longest is taken, with a
    warning.

    Terms of use, in short: Microsoft Research License Terms, for non-commercial research.

    Args:
        folder: the folder, such as `MINDsmall_train`.

    Returns:
        `Dataset`. `users`, sorted by id, has `n_history`. `items`, in the order of the file, has
        `category`, `subcategory`, `title`, `abstract` and `url`; the entities are not read.
        `interactions` are histories by user, then clicks in the order of time, which is read as
        UTC. The modality `text` is the title, a full stop unless it ends in a mark of its own,
        and the abstract, if there is one.

    Raises:
        FileNotFoundError: if a file is missing; the message says where to get it.
        FolderError: a `ValueError` that names the lines and fields that cannot be read. The test
            set is among it, for what was opened there is not published.

    References:
        F. Wu, Y. Qiao, J.-H. Chen, C. Wu, T. Qi, J. Lian, D. Liu, X. Xie, J. Gao, W. Wu, M. Zhou:
        MIND: a large-scale dataset for news recommendation. ACL 2020,
        https://doi.org/10.18653/v1/2020.acl-main.331

    Example:

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> news = "N1\tsports\tgolf\tThe winners\tA gallery.\t\t[]\t[]\n"
    >>> news += news.replace("N1", "N2") + news.replace("N1", "N3")
    >>> visit = "1\tU7\t11/15/2019 10:22:32 AM\tN3 N1\tN1-0 N2-1\n"
    >>> for name, text in [("news.tsv", news), ("behaviors.tsv", visit)]:
    ...     _ = Path(folder.name, name).write_text(text)
    >>> mind = load_mind(folder.name)
    >>> mind.modalities["text"][0]
    'The winners. A gallery.'
    >>> log = mind.interactions
    >>> log.assign(news=mind.items.index[log["item"]])
       user  item   timestamp news
    0     0     2  1573813350   N3
    1     0     0  1573813351   N1
    2     0     1  1573813352   N2
    >>> folder.cleanup()
    """
    log = _read(Path(folder))
    counts = log.n_history
    # Seconds before the first visit: 1 for the last of each history, 2 for the one before it.
    before = np.repeat(np.cumsum(counts), counts) - np.arange(counts.sum())
    clicks = log.shown[log.shown["picked"]]
    interactions = pd.DataFrame(
        {
            "user": np.concatenate([np.repeat(np.arange(len(counts)), counts), clicks["user"]]),
            "item": np.concatenate([log.history, clicks["item"]]),
            "timestamp": np.concatenate(
                [log.shown["timestamp"].min() - before, clicks["timestamp"]]
            ),
        }
    )
    if log.n_differing:
        warnings.warn(
            f"MIND: {log.n_differing:,} users have visits that differ in their history. The "
            "longest of a user is taken.",
            stacklevel=2,
        )
    news = log.news
    ends = news["title"].str.endswith((".", "!", "?"))
    between = np.where(news["abstract"] == "", "", np.where(ends, " ", ". "))
    texts = news["title"] + between + news["abstract"]
    return Dataset(
        "MIND",
        pd.DataFrame({"n_history": counts}, index=pd.Index(log.users, name="user_id")),
        news,
        interactions,
        {"text": Modality.from_array(texts.to_numpy(dtype=object))},
    )


def load_mind_impressions(folder):
    r"""Load all that MIND shows, opened or not, from files that you have downloaded.

    Args:
        folder: as in `load_mind`.

    Returns:
        Data frame with one row a piece of news shown, and the columns

        - `visit`: number of the visit, 0, 1, 2, … in the order of time;
        - `user` and `item`: row numbers of `users` and `items` of `load_mind`;
        - `timestamp`: seconds since 1970-01-01 UTC;
        - `position`: place in the list as published, from 0. MIND has **shuffled** every list, so
          that this says nothing about where the news stood on the page;
        - `picked`: whether it was opened.

        Histories are not in it: they are interactions of `load_mind`.

    Raises:
        FileNotFoundError: as `load_mind` does.
        FolderError: as `load_mind` does.

    References:
        As of `load_mind`, and the description of the data,
        https://github.com/msnews/msnews.github.io/blob/master/assets/doc/introduction.md

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     news = "".join(f"N{n}\tsports\tgolf\tThe winners\t\t\t[]\t[]\n" for n in range(3))
    ...     visit = "1\tU7\t11/15/2019 10:22:32 AM\t\tN1-0 N2-1\n"
    ...     for name, text in [("news.tsv", news), ("behaviors.tsv", visit)]:
    ...         _ = Path(folder, name).write_text(text)
    ...     load_mind_impressions(folder)
       visit  user  item   timestamp  position  picked
    0      0     0     1  1573813352         0   False
    1      0     0     2  1573813352         1    True
    """
    return _read(Path(folder)).shown


@dataclass(frozen=True)
class _Log:
    """What both loaders read; `history` has the items of all histories, user by user."""

    news: pd.DataFrame
    users: list[str]
    n_history: np.ndarray
    history: np.ndarray
    n_differing: int
    shown: pd.DataFrame


def _read(folder):
    """Return the `_Log` of a folder."""
    news_path, path = (SOURCE.find(folder, name) for name in ("news.tsv", "behaviors.tsv"))
    news = _read_news(news_path)
    user_rows, longest, differing = {}, {}, set()
    users, times, lengths, items, picked = [], [], [], [], []
    for frame in read_fields(path, _BEHAVIOURS, "\t"):
        seconds, lists = _check_visits(frame, path.name)
        for user, history, line in zip(frame["user"], frame["history"], frame.index, strict=True):
            known = longest.setdefault(user, (history, line))
            if known[0] != history:
                differing.add(user)
                if history.count(" ") > known[0].count(" "):
                    longest[user] = history, line
        users.append([user_rows.setdefault(user, len(user_rows)) for user in frame["user"]])
        times.append(seconds)
        lengths.append([len(each) for each in lists])
        pieces = list(chain.from_iterable(lists))
        items.append(news.index.get_indexer([piece[:-2] for piece in pieces]).astype(np.int32))
        picked.append(np.array([piece.endswith("-1") for piece in pieces], bool))
        if (items[-1] < 0).any():
            _report_unknown(path.name, frame.index, lists, items[-1])
    if not user_rows:
        message = "Expected an impression a line"
        raise FolderError([Fault(path.name, None, None, None, "no impressions", message)], REMEDY)

    order = sorted(user_rows)
    n_history, history = _read_histories(path.name, [longest[user] for user in order], news.index)
    new_row = np.empty(len(order), np.int32)
    new_row[[user_rows[user] for user in order]] = np.arange(len(order))
    visits = pd.DataFrame(
        {"user": new_row[np.concatenate(users)], "timestamp": np.concatenate(times)}
    )
    shown = _in_order(visits, *map(np.concatenate, (lengths, items, picked)))
    return _Log(news, order, n_history, history, len(differing), shown)


def _read_news(path):
    frames = list(read_fields(path, [*_NEWS, *_ENTITIES], "\t"))
    if not frames:
        message = "Expected a piece of news a line"
        raise FolderError([Fault(path.name, None, None, None, "no news", message)], REMEDY)
    news = pd.concat([frame[_NEWS] for frame in frames])
    for wrong, kind, message in [
        (news["id"] == "", "empty value", "Expected a value"),
        (news["id"].duplicated(), "repeated id", "It stands on an earlier line too"),
    ]:
        if wrong.any():
            place = lambda line: (path.name, line)  # noqa: E731
            raise FolderError(faults_of_rows(news, place, "id", wrong, kind, message), REMEDY)
    return news.set_index(pd.Index(news["id"], name="item_id")).drop(columns="id")


def _check_visits(frame, file):
    """Return Unix seconds and the pieces of each list, or raise an error that lists the faults."""
    times = pd.to_datetime(frame["time"], format="%m/%d/%Y %I:%M:%S %p", errors="coerce")
    lists = [shown.split() for shown in frame["impressions"]]
    ends = ("-0", "-1")
    faults = []
    for column, wrong, kind, message in [
        ("user", frame["user"] == "", "empty value", "Expected a value"),
        ("time", times.isna(), "bad time", "Expected a time such as 11/15/2019 10:22:32 AM"),
        ("impressions", [not each for each in lists], "empty value", "Expected news"),
    ]:
        faults += faults_of_rows(frame, lambda line: (file, line), column, wrong, kind, message)
    for line, pieces in zip(frame.index, lists, strict=True):
        if not all(piece.endswith(ends) for piece in pieces) and len(faults) < MOST_FAULTS:
            piece = next(piece for piece in pieces if not piece.endswith(ends))
            message = (
                "Expected a piece of news and whether it was opened, such as N1-0 or N2-1; the "
                "published test set does not say"
            )
            faults.append(Fault(file, line, "impressions", piece, "no label", message))
    if faults:
        raise FolderError(faults, REMEDY)
    return times.astype("datetime64[s]").astype(np.int64).to_numpy(), lists


def _report_unknown(file, lines, lists, items):
    """Raise an error that lists the pieces of news that are not in news.tsv."""
    pieces = np.array(list(chain.from_iterable(lists)), dtype=object)
    places = np.repeat(lines, [len(each) for each in lists])
    unknown = np.flatnonzero(items < 0)[:MOST_FAULTS]
    raise FolderError(
        [Fault(file, int(places[n]), "impressions", pieces[n][:-2], *_UNKNOWN) for n in unknown],
        REMEDY,
    )


_UNKNOWN = "unknown item", "Expected news of news.tsv, which is of the same folder"


def _read_histories(file, histories, news):
    """Return the lengths of histories, given as texts with their lines, and all their items."""
    split = [history.split() for history, _ in histories]
    counts = np.array([len(pieces) for pieces in split])
    pieces = list(chain.from_iterable(split))
    items = news.get_indexer(pieces).astype(np.int32)
    unknown = np.flatnonzero(items < 0)[:MOST_FAULTS]
    if len(unknown):
        users = np.searchsorted(np.cumsum(counts), unknown, side="right")
        raise FolderError(
            [
                Fault(file, histories[user][1], "history", pieces[n], *_UNKNOWN)
                for user, n in zip(users, unknown, strict=True)
            ],
            REMEDY,
        )
    return counts, items


def _in_order(visits, lengths, items, picked):
    """Return the lists as a data frame, visits in the order of time, then of the file."""
    order = np.argsort(visits["timestamp"].to_numpy(), kind="stable")
    starts = (np.cumsum(lengths) - lengths)[order]
    sizes = lengths[order]
    position = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    rows = np.repeat(starts, sizes) + position
    return pd.DataFrame(
        {
            "visit": np.repeat(np.arange(len(visits)), sizes),
            "user": np.repeat(visits["user"].to_numpy()[order], sizes),
            "item": items[rows],
            "timestamp": np.repeat(visits["timestamp"].to_numpy()[order], sizes),
            "position": position,
            "picked": picked[rows],
        }
    )
