"""Temporal graphs of the Stanford Large Network Dataset Collection: who turned to whom, when."""

import gzip
import re
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_tf.datasets._published import (
    MOST_FAULTS,
    REMEDY,
    Source,
    numbered_lines,
    open_bytes,
)
from mmrec_tf.datasets.dataset import Dataset
from mmrec_tf.datasets.faults import Fault, FolderError
from mmrec_tf.datasets.tables import Table
from mmrec_tf.datasets.timestamps import YEAR_2100, check_timestamps

SOURCE = Source(
    "SNAP's temporal networks",
    "https://snap.stanford.edu/data, section temporal networks",
    "no licence is stated for the collection; cite it and the paper that the graph's page names.",
)
_COLUMNS = ["SRC", "DST", "timestamp"]
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)


def load_snap_graph(path):
    r"""Load a temporal graph of SNAP, such as CollegeMsg, from a file that you have downloaded.

    A line of the file is an edge, `SRC DST UNIXTS`: two people's ids, integers, and Unix seconds.
    Lines that begin with # are comments. Users and items are the same people: row 5 of `users`
    and row 5 of `items` are one person, who as a user turns to others, and as an item is turned
    to. Edges that stand there more than once are kept, and so are those from a person to itself,
    which a recommender of people should leave out.

    Terms of use, in short: SNAP states no licence for the collection; cite it and the paper that
    the graph's page names.

    Args:
        path: the file, `.txt` or `.txt.gz`.

    Returns:
        `Dataset` named as the file, whose ids are those of the file, in ascending order, and whose
        interactions are in the order of the file. `users` and `items` have no columns, and there
        is no modality.

    Raises:
        FileNotFoundError: if there is no such file; the message says where to get it.
        FolderError: a `ValueError` that names the lines and fields that cannot be read.

    References:
        J. Leskovec, A. Krevl: SNAP datasets: Stanford large network dataset collection. 2014,
        https://snap.stanford.edu/data

        A. Paranjape, A. R. Benson, J. Leskovec: Motifs in temporal networks. WSDM 2017,
        https://doi.org/10.1145/3018661.3018731

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "CollegeMsg.txt")
    ...     _ = path.write_text("1 2 1082040961\n3 4 1082155839\n5 2 1082414391\n")
    ...     graph = load_snap_graph(path)
    >>> graph
    CollegeMsg
      users         5
      items         5
      interactions  3: 0.6 a user, density 12.00 %, 2004-04-15 to 2004-04-19
    """
    path = Path(path)
    if not path.is_file():
        raise SOURCE.missing(path)
    edges = _read_edges(path)
    ids, rows = np.unique(edges[["SRC", "DST"]].to_numpy(), return_inverse=True)
    rows = rows.reshape(-1, 2)
    log = {"user": rows[:, 0], "item": rows[:, 1], "timestamp": edges["timestamp"].to_numpy()}
    return Dataset(
        path.name.removesuffix(".gz").removesuffix(".txt"),
        pd.DataFrame(index=pd.Index(ids, name="user_id")),
        pd.DataFrame(index=pd.Index(ids, name="item_id")),
        pd.DataFrame(log),
    )


def _read_edges(path):
    """Return a data frame of int64, at once; only where that fails are lines looked at singly."""
    try:
        with open_bytes(path) as file, warnings.catch_warnings():
            # A fourth column takes what should not be there; if that is more, pandas warns.
            warnings.simplefilter("ignore", pd.errors.ParserWarning)
            edges = pd.read_csv(
                file,
                sep=r"\s+",
                comment="#",
                header=None,
                names=[*_COLUMNS, "more"],
                index_col=False,
                dtype=dict.fromkeys(_COLUMNS, np.int64) | {"more": str},
            )
    except (ValueError, OverflowError, EOFError, gzip.BadGzipFile, zlib.error):
        return _check_edges(path)
    times = edges["timestamp"]
    if edges["more"].isna().all() and len(edges) and 0 <= times.min() <= times.max() < YEAR_2100:
        return edges[_COLUMNS]
    return _check_edges(path)


def _check_edges(path):
    """Return the same data frame, slowly, or raise an error that names the faulty lines."""
    faults, lines, columns = [], [], {name: [] for name in _COLUMNS}
    for number, line in numbered_lines(path):
        text = line.decode("utf-8", "replace").strip()
        if text.startswith("#"):
            continue
        fields = text.split()
        if len(fields) == len(_COLUMNS):
            lines.append(number)
            for name, value in zip(_COLUMNS, fields, strict=True):
                columns[name].append(value)
        else:
            message = f"Expected 3 fields: SRC DST UNIXTS. Received: {len(fields)}"
            faults.append(Fault(path.name, number, None, text, "ragged row", message))
            if len(faults) == MOST_FAULTS:
                raise FolderError(faults, REMEDY)
    table = Table(path.name, columns, lines, faults)
    for name in _COLUMNS:
        table.check(name, _complain_of_integer)
    if not faults:
        check_timestamps(table)
    if not lines and not faults:
        faults.append(Fault(path.name, None, None, None, "no edges", "Expected an edge a line"))
    if faults:
        raise FolderError(faults, "Mend the file or download it again.")
    return pd.DataFrame(columns).astype(np.int64)


def _complain_of_integer(value):
    if _INTEGER.fullmatch(value) and -(2**63) <= int(value) < 2**63:
        return None
    return "no integer", "Expected an integer of up to 64 bits"
