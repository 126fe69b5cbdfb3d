"""EdNet: 95 million answers of 784,309 students to questions of a test of English."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_tf.datasets._published import (
    BLOCK,
    REMEDY,
    Source,
    faults_of_rows,
    parse_fields,
)
from mmrec_tf.datasets.dataset import Dataset
from mmrec_tf.datasets.faults import Fault, FolderError
from mmrec_tf.datasets.tables import (
    check_ids,
    complain_of_empty,
    complain_of_number,
    read_table,
    to_frame,
)
from mmrec_tf.datasets.timestamps import YEAR_2100

SOURCE = Source(
    "EdNet-KT1",
    "https://github.com/riiid/ednet, the archives KT1 and Contents",
    "CC BY-NC 4.0, for research, https://creativecommons.org/licenses/by-nc/4.0/",
)
_ANSWERS = ["timestamp", "solving_id", "question_id", "user_answer", "elapsed_time"]
_QUESTIONS = ("question_id", "bundle_id", "correct_answer", "part", "tags")
_EMPTY = "empty value", "Expected a value"
_USER = re.compile(r"u(\d+)\.csv", re.ASCII)


def load_ednet(folder, n_users=None):
    r"""Load EdNet-KT1, students' answers to questions, from files that you have downloaded.

    The folder holds `KT1/u<number>.csv`, a file a student, and `contents/questions.csv` as they
    are published. An answer to a question is an interaction; students may answer a question
    again. All answers are kept, except those to questions that `questions.csv` does not have, for
    whether they are correct is unknown; a warning counts them. The times were shifted by a fixed
    amount before they were published.

    Terms of use, in short: CC BY-NC 4.0, for research.

    Args:
        folder: the folder.
        n_users: number of students, spread evenly over all in the order of their numbers, for
            these may follow the time of joining; by default all, which takes minutes.

    Returns:
        `Dataset`. `users`, ids such as "u42", by number, have no columns. `items`, questions in
        the order of their file, have `part` of the test, 1 to 7, `tags`, skills joined by ";"
        (`items["tags"].str.get_dummies(";")` makes columns of them), and `bundle`, id of the
        questions that are asked together. `interactions`, by student and in the order of the
        file, have `rating`, 1 where the answer is correct and else 0, also where it is empty,
        and `timestamp`, of which fractions of a second are cut off. There is no modality.

    Raises:
        FileNotFoundError: if a file is missing; the message says where to get it.
        FolderError: a `ValueError` that names the lines and fields that cannot be read.
        ValueError: if `n_users` is no number of students between 1 and all.

    References:
        Y. Choi, Y. Lee, D. Shin, J. Cho, S. Park, S. Lee, J. Baek, C. Bae, B. Kim, J. Heo: EdNet:
        a large-scale hierarchical dataset in education. 2020, https://arxiv.org/abs/1912.03072

    Example:

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> tables = {
    ...     "KT1/u1.csv": "timestamp,solving_id,question_id,user_answer,elapsed_time\n"
    ...     "1548996377530,1,q2,d,47000\n1548996378149,2,q1,b,47000\n",
    ...     "contents/questions.csv": "question_id,bundle_id,explanation_id,correct_answer,part,"
    ...     "tags,deployed_at\nq1,b1,e1,b,1,1;2;179,1558093217098\nq2,b2,e2,a,1,15,1558093219720\n",
    ... }
    >>> for name, text in tables.items():
    ...     Path(folder.name, name).parent.mkdir()
    ...     _ = Path(folder.name, name).write_text(text)
    >>> ednet = load_ednet(folder.name)
    >>> ednet.items.reset_index()
      item_id  part     tags bundle
    0      q1     1  1;2;179     b1
    1      q2     1       15     b2
    >>> ednet.interactions
       user  item   timestamp  rating
    0     0     1  1548996377     0.0
    1     0     0  1548996378     1.0
    >>> folder.cleanup()
    """
    folder = Path(folder)
    questions = _read_questions(SOURCE.find(folder / "contents", "questions.csv"))
    files = _files(folder / "KT1", n_users)
    unknown = []
    log = pd.concat([_read_answers(group, questions, unknown) for group in _groups(files)])
    if unknown:
        file, line, question = unknown[0]
        warnings.warn(
            f"EdNet-KT1: {len(unknown):,} answers are to questions that are not in questions.csv, "
            "so that nobody knows whether they are correct. They are left out. The first is to "
            f"{question!r} ({file}, line {line}).",
            stacklevel=2,
        )
    return Dataset(
        "EdNet-KT1",
        pd.DataFrame(index=pd.Index([path.stem for path in files], name="user_id")),
        questions.drop(columns="correct_answer"),
        log,
    )


def _files(folder, n_users):
    """Return the students' files in the order of their numbers."""
    if not folder.is_dir():
        raise SOURCE.missing(folder)
    found = sorted(
        (int(match[1]), path) for path in folder.iterdir() if (match := _USER.fullmatch(path.name))
    )
    if not found:
        raise SOURCE.missing(folder / "u1.csv")
    if n_users is None:
        n_users = len(found)
    if not isinstance(n_users, int | np.integer) or not 1 <= n_users <= len(found):
        raise ValueError(
            f"Expected `n_users` to be an integer in [1, {len(found)}]. Received: {n_users!r}."
        )
    return [found[(2 * n + 1) * len(found) // (2 * n_users)][1] for n in range(n_users)]


def _read_questions(path):
    """Return the questions' frame, `correct_answer` included."""
    path, faults = path.resolve(), []
    optional = ("explanation_id", "deployed_at")
    table = read_table(path.parent, path.name, _QUESTIONS, optional, faults)
    if table is not None:
        check_ids(table, "question_id")
        for column in ("bundle_id", "correct_answer", "part"):
            table.check(column, complain_of_empty)
        table.check("part", lambda value: complain_of_number(value, "part", least=0))
    if faults:
        raise FolderError(faults, "Mend the file or download it again.")
    frame = to_frame(table, "question_id", text=("bundle_id", "correct_answer", "tags"))
    frame.index.name = "item_id"
    return frame.rename(columns={"bundle_id": "bundle"})[
        ["part", "tags", "bundle", "correct_answer"]
    ]


def _groups(files):
    """Yield the files' row numbers, paths and bytes in groups, to parse many at once."""
    group, size = [], 0
    for user, path in enumerate(files):
        group.append((user, path, path.read_bytes()))
        size += len(group[-1][2])
        if size >= BLOCK:
            yield group
            group, size = [], 0
    if group:
        yield group


def _read_answers(group, questions, unknown):
    """Return the log of a group of students; add answers to unknown questions to a list."""
    header = ",".join(_ANSWERS)
    bodies, n_lines = [], []
    for _, path, data in group:
        first, _, body = data.partition(b"\n")
        given = first.decode("utf-8-sig", "replace").strip()
        if given != header:
            message = f"Expected the columns {header}"
            raise FolderError([Fault(path.name, 1, None, given, "wrong columns", message)], REMEDY)
        if body and not body.endswith(b"\n"):
            body += b"\n"
        bodies.append(body)
        n_lines.append(body.count(b"\n"))
    starts = np.cumsum(n_lines) - n_lines

    def place(row):
        number = int(np.searchsorted(starts, row, side="right")) - 1
        return group[number][1].name, int(row - starts[number]) + 2

    frame = parse_fields(b"".join(bodies), _ANSWERS, ",", place)
    users = np.searchsorted(starts, frame.index, side="right") - 1
    times = pd.to_numeric(frame["timestamp"], errors="coerce").to_numpy(float)
    items = questions.index.get_indexer(frame["question_id"])
    faults = []
    for column, wrong, kind, message in [
        (
            "timestamp",
            ~((times >= 0) & (times < 1000 * YEAR_2100)),
            "bad timestamp",
            "Expected milliseconds since 1970, before 2100",
        ),
        ("question_id", (frame["question_id"] == "").to_numpy(bool), *_EMPTY),
    ]:
        faults += faults_of_rows(frame, place, column, wrong, kind, message)
    if faults:
        raise FolderError(faults, REMEDY)
    for row in frame.index[items < 0]:
        unknown.append((*place(int(row)), frame.at[row, "question_id"]))
    correct = questions["correct_answer"].to_numpy()[items] == frame["user_answer"].to_numpy()
    log = pd.DataFrame(
        {
            "user": np.array([user for user, *_ in group], np.int32)[users],
            "item": items.astype(np.int32),
            "timestamp": times.astype(np.int64) // 1000,
            "rating": correct.astype(np.float32),
        }
    )
    return log[items >= 0]
