import pandas as pd
import pytest

from mmrec_tf import load_ednet
from mmrec_tf.datasets import ednet
from mmrec_tf.datasets.faults import FolderError

# Rows of the data set's own description.
QUESTIONS = """\
question_id,bundle_id,explanation_id,correct_answer,part,tags,deployed_at
q2319,b1707,e1707,a,3,179;53;183;184,1571279008033
q2320,b1707,e1707,d,3,52;183;184,1571279009205
q5012,b3544,e3544,c,5,-1,-1
"""
HEAD = "timestamp,solving_id,question_id,user_answer,elapsed_time\n"
ANSWERS = {
    "u10": "1548996377530,1,q2320,d,47000\n1548996378149,1,q2319,b,47000\n",
    "u2": "1548996378665,1,q5012,,67000\n1548996378999,2,q5012,c,\n1548996379000,3,q5012,c,5\n",
    "u300": "",
}


def make(folder, questions=QUESTIONS, answers=ANSWERS, head=HEAD):
    (folder / "KT1").mkdir(exist_ok=True)
    (folder / "contents").mkdir(exist_ok=True)
    (folder / "contents" / "questions.csv").write_text(questions)
    for user, rows in answers.items():
        (folder / "KT1" / f"{user}.csv").write_text(head + rows)
    return folder


def faults(folder):
    with pytest.raises(FolderError) as caught:
        load_ednet(folder)
    return [(f.file, f.line, f.column, f.value, f.kind) for f in caught.value.faults]


@pytest.fixture(params=["one group", "a group a student", "CR LF", "no last line end"])
def folder(tmp_path, request, monkeypatch):
    make(tmp_path)
    if request.param == "a group a student":
        monkeypatch.setattr(ednet, "BLOCK", 1)
    for path in [*tmp_path.glob("KT1/*"), *tmp_path.glob("contents/*")]:
        if request.param == "CR LF":
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        if request.param == "no last line end":
            path.write_bytes(path.read_bytes().removesuffix(b"\n"))
    return tmp_path


def test_answers(folder):
    data = load_ednet(str(folder))
    assert data.users.index.tolist() == ["u2", "u10", "u300"]
    assert data.interactions.to_dict("list") == {
        "user": [0, 0, 0, 1, 1],
        "item": [2, 2, 2, 1, 0],
        "timestamp": [1548996378, 1548996378, 1548996379, 1548996377, 1548996378],
        "rating": [0, 1, 1, 1, 0],
    }


def test_questions(folder):
    data = load_ednet(folder)
    expected = pd.DataFrame(
        {
            "part": [3, 3, 5],
            "tags": ["179;53;183;184", "52;183;184", "-1"],
            "bundle": ["b1707", "b1707", "b3544"],
        },
        index=pd.Index(["q2319", "q2320", "q5012"], name="item_id"),
    )
    pd.testing.assert_frame_equal(data.items, expected)


def test_tags_that_are_all_single_stay_text(tmp_path):
    questions = QUESTIONS.replace("179;53;183;184", "179").replace("52;183;184", "52")
    data = load_ednet(make(tmp_path, questions))
    assert data.items["tags"].tolist() == ["179", "52", "-1"]


def test_students_are_spread_evenly(tmp_path):
    row = "1548996377530,1,q2320,d,47000\n"
    make(tmp_path, answers={f"u{n}": row for n in range(1, 13)})
    (tmp_path / "KT1" / "notes.txt").write_text("no student")
    assert load_ednet(tmp_path, 3).users.index.tolist() == ["u3", "u7", "u11"]
    assert load_ednet(tmp_path, 12).users.index.tolist() == [f"u{n}" for n in range(1, 13)]
    assert load_ednet(tmp_path, n_users=1).interactions["user"].tolist() == [0]
    for n_users in (0, 13, -1, 2.0):
        with pytest.raises(ValueError, match=rf"in \[1, 12\]. Received: {n_users}"):
            load_ednet(tmp_path, n_users)


@pytest.mark.parametrize("block", [1, 2**24])
def test_answers_to_unknown_questions_are_counted(tmp_path, monkeypatch, block):
    monkeypatch.setattr(ednet, "BLOCK", block)
    strange = "1548996377530,1,q98,d,47000\n"
    rows = ANSWERS["u10"] + strange.replace("q98", "q99") + ANSWERS["u10"]
    make(tmp_path, answers=ANSWERS | {"u10": rows, "u20": strange})
    with pytest.warns(UserWarning, match="2 answers are to questions that are not in") as caught:
        data = load_ednet(tmp_path)
    assert "The first is to 'q99' (u10.csv, line 4)." in str(caught[0].message)
    assert caught[0].filename == __file__
    assert data.users.index.tolist() == ["u2", "u10", "u20", "u300"]
    assert data.interactions["user"].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert data.interactions["item"].tolist() == [2, 2, 2, 1, 0, 1, 0]
    assert data.interactions["rating"].tolist() == [0, 1, 1, 1, 0, 1, 0]


def test_only_empty_files(tmp_path):
    data = load_ednet(make(tmp_path, answers={"u1": "", "u2": ""}))
    assert (data.n_users, len(data.interactions)) == (2, 0)


@pytest.mark.parametrize(
    ("row", "column", "value", "kind"),
    [
        ("1548996377530,1,q2320,d", None, "1548996377530,1,q2320,d", "ragged row"),
        ("1548996377530,1,q2320,d,5,6", None, "1548996377530,1,q2320,d,5,6", "ragged row"),
        ("soon,1,q2320,d,47000", "timestamp", "soon", "bad timestamp"),
        (",1,q2320,d,47000", "timestamp", "", "bad timestamp"),
        ("-1,1,q2320,d,47000", "timestamp", "-1", "bad timestamp"),
        ("1548996377530000,1,q2320,d,5", "timestamp", "1548996377530000", "bad timestamp"),
        ("1548996377530,1,,d,47000", "question_id", "", "empty value"),
    ],
)
@pytest.mark.parametrize("block", [1, 2**24])
def test_faulty_answers_are_named(tmp_path, monkeypatch, row, column, value, kind, block):
    monkeypatch.setattr(ednet, "BLOCK", block)
    good = ANSWERS["u10"]
    make(tmp_path, answers=ANSWERS | {"u20": good + "\n" + row + "\n" + good})
    assert faults(tmp_path) == [("u20.csv", 5, column, value, kind)]
    make(tmp_path, answers=ANSWERS | {"u20": row + "\n"})
    assert faults(tmp_path) == [("u20.csv", 2, column, value, kind)]


def test_not_utf8(tmp_path):
    make(tmp_path)
    with open(tmp_path / "KT1" / "u10.csv", "ab") as file:
        file.write(b"1548996377530,1,q2320,\xe9,47000\n")
    assert faults(tmp_path) == [("u10.csv", 4, None, "byte 0xe9", "wrong encoding")]


def test_files_of_another_level(tmp_path):
    make(tmp_path, head="timestamp,action_type,item_id,source,user_answer,platform\n")
    [(file, line, *_, kind)] = faults(tmp_path)
    assert (file, line, kind) == ("u2.csv", 1, "wrong columns")


@pytest.mark.parametrize(
    ("change", "line", "column", "kind"),
    [
        (("tags,", "tag,"), 1, "tags", "missing column"),
        (("q2320", "q2319"), 3, "question_id", "repeated id"),
        (("b1707,e1707,d", "b1707,e1707,"), 3, "correct_answer", "empty value"),
        (("d,3,", "d,three,"), 3, "part", "bad part"),
        (("d,3,", "d,3,3,"), 3, None, "ragged row"),
    ],
)
def test_faulty_questions_are_named(tmp_path, change, line, column, kind):
    make(tmp_path, QUESTIONS.replace(*change))
    [(file, *place, _, given)] = faults(tmp_path)
    assert (file, *place, given) == ("questions.csv", line, column, kind)


@pytest.mark.parametrize("missing", ["contents/questions.csv", "KT1", "KT1/u1.csv"])
def test_a_missing_file_says_where_to_get_it(tmp_path, missing):
    make(tmp_path)
    if missing.startswith("KT1"):
        for path in (tmp_path / "KT1").iterdir():
            path.unlink()
        if missing == "KT1":
            (tmp_path / "KT1").rmdir()
    else:
        (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_ednet(tmp_path)
    message = str(caught.value)
    assert f"{tmp_path / missing} is missing" in message
    assert "https://github.com/riiid/ednet" in message
    assert "CC BY-NC 4.0" in message
