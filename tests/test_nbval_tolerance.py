import os
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import nbformat
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbval.plugin import NbCellError

from tests.nbval_tolerance import MAX_REPORTED, REMEDY, compare_texts, read_tolerance, tokenise

RTOL = {"rtol": 1e-3}


def reasons(stored, new, rtol=1e-3, atol=0.0, html=False):
    return compare_texts(stored, new, rtol, atol, html)[1]


def numbers(line):
    return tokenise(line)[1::2]


# --- What is a number ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0.5 1. .5 -1.2e-05 3e4 1.e-09 +0.25 2E+3", "0.5 1. .5 -1.2e-05 3e4 1.e-09 +0.25 2E+3"),
        ("7 -7 007", "7 -7 007"),
        ("nan -inf Infinity NaN nanmean inference", "nan -inf Infinity NaN"),
        ("\u22120.5 x \u2212 3", "\u22120.5 3"),
        ("95.3% 1.5s 0.8x 12.5ms 1.5e3s 0.2j 1.j 1.5\u00b5s", "95.3 1.5 0.8 12.5 1.5e3 0.2 1. 1.5"),
        ("1-2 0.1-0.3 0.1\u20130.3", "1 2 0.1 0.3 0.1 0.3"),
        ("[0.1, -0.2] (0.3) {'a':0.4} p<0.5 lr=-1e-3 \u22480.6", "0.1 -0.2 0.3 0.4 0.5 -1e-3 0.6"),
        ("The loss is 0.5. Then 0.25, at last -0.1!", "0.5 0.25 -0.1"),
        ("v1.2 x1.5 a_0.5 _0.5 gpt-3.5 resnet50-0.5 tf.0.5 \u03c30.5", ""),
        ("1.2.txt 1.5m2 0.5_a", "1 1 0"),  # only the leading integers: all of it is exact
        ("keras 3.15.1, 2.0rc1, 1.0.dev0, 192.168.0.1", "3 2 1 192"),
        ("3e4f5a 12e4fab", "3 12"),
        ("10:30:45.5 1:0.5 2024-01-15T10:30:45.5", "2024 01 15"),
        ("2024-01-15", "2024 01 15"),
        ("---- ==== .. ...", ""),
    ],
)
def test_numbers_of_a_line(line, expected):
    assert numbers(line) == expected.split()


@given(st.text())
def test_tokens_make_up_the_line(line):
    def squeeze(text):
        return re.sub(r"[ \t]", "", text)

    assert squeeze("".join(tokenise(line))) == squeeze(line)


# --- What agrees --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("loss: 0.5000", "loss: 0.5004"),
        ("1e-05", "0.00001"),
        ("95.30%", "95.31%"),
        ("1.500s", "1.501s"),
        ("-0.5", "\u22120.5"),
        ("a 1.0 b", "a\t 1.0   b  "),
        ("[0.25  0.1  ]", "[ 0.25  0.10001]"),
        ("lr=10.000", "lr= 9.999"),
    ],
)
def test_agree(stored, new):
    assert compare_texts(stored, new, rtol=1e-3, atol=0) == (stored, [])


@pytest.mark.parametrize(
    ("stored", "new"),
    [
        ("0.5", "0.6"),
        ("0.5", "-0.5"),
        ("0.5", "- 0.5"),
        ("0.0001", "-0.0001"),
        ("1000", "1001"),
        ("7", "7.0"),
        ("7.0", "7"),
        ("7.", "7"),
        ("0.5", "nan"),
        ("nan", "0.5"),
        ("nan", "-nan"),
        ("inf", "nan"),
        ("1e300", "inf"),
        ("0.5 good", "0.5 bad"),
        ("0.5 good", "0.5"),
        ("0.5 a b", "0.5 ab"),
        ("0.5%", "0.5"),
        ("1.5s", "1.5m"),
        ("0.5 0.5", "0.5"),
        ("1 -2", "1-2"),
        ("v1.0000", "v1.0001"),
        ("x1.0000", "x1.0001"),
        ("gpt-3.0000", "gpt-3.0001"),
        ("keras 3.1500.1", "keras 3.1501.1"),
        ("2024-01-15T10:30:45.5000", "2024-01-15T10:30:45.5001"),
        ("----", "-----"),
        ("0.5", "0.5\n"),
        ("0.5\n0.5", "0.5"),
        ("0.5\n\n0.5", "0.5\n0.5"),
        ("0.5\n0.5", "0.5 0.5"),
    ],
)
def test_disagree(stored, new):
    text, found = compare_texts(stored, new, rtol=1e-3, atol=0)
    assert found
    assert text == new


@pytest.mark.parametrize(
    ("stored", "new", "rtol", "atol", "agree"),
    [
        ("0.100", "0.101", 0, 0.001, True),  # 0.101 - 0.1 > 0.001 in binary arithmetic
        ("0.100", "0.1011", 0, 0.001, False),
        ("100.0", "100.1", 0.001, 0, True),
        ("100.0", "100.11", 0.001, 0, False),
        ("100.0", "100.11", 0.001, 0.01, True),  # the two are added
        ("100.0", "101.0", 0.00995, 0, False),  # relative to the stored number: 1 > 0.995,
        ("101.0", "100.0", 0.00995, 0, True),  # and 1 <= 1.00495
        ("-100.0", "-100.1", 0.001, 0, True),
        ("0.0", "-0.0", 0, 0, True),
        ("0.0", "1e-9", 0.001, 0, False),
        ("0.0", "1e-9", 0, 1e-8, True),
        ("1e400", "1.0", 0.5, 0, False),
        ("7", "8", 10, 10, False),
        ("nan", "0.5", 10, 10, False),
    ],
)
def test_tolerance(stored, new, rtol, atol, agree):
    assert (not reasons(stored, new, rtol, atol)) == agree


def test_only_the_agreeing_lines_are_replaced():
    text, found = compare_texts("a 0.5000\nb 0.5\nc  0.50", "a 0.5001\nb 0.6\nc -0.50", 1e-3, 0)
    assert text == "a 0.5000\nb 0.6\nc -0.50"
    assert found == [
        "line 2: 0.5 in the notebook, 0.6 now, 0.1 apart; allowed rtol=0.001 atol=0",
        "line 3: 0.50 in the notebook, -0.50 now, 1.00 apart; allowed rtol=0.001 atol=0",
    ]


@pytest.mark.parametrize(
    ("stored", "new", "reason"),
    [
        ("7", "8", "line 1: 7 in the notebook, 8 now: an integer, then an integer"),
        ("7", "7.0", "line 1: 7 in the notebook, 7.0 now: an integer, then a float"),
        ("\n0.5", "\nnan", "line 2: 0.5 in the notebook, nan now: a float, then a NaN"),
        ("0.5", "-inf", "line 1: 0.5 in the notebook, -inf now: a float, then an infinity"),
        ("a 0.5", "b 0.5", "line 1: 'a 0.5' in the notebook, 'b 0.5' now"),
        ("a\nb", "a", "2 lines in the notebook, 1 now"),
    ],
)
def test_reasons(stored, new, reason):
    (found,) = reasons(stored, new)
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("stored", "new", "agree"),
    [
        ("<td>0.1234</td>", "<td>0.12341</td>", True),
        ("<td>0.1234</td>", "<td>0.1244</td>", False),
        ("<td>1000</td>", "<td>1001</td>", False),
        ("<td>0.5</td>", "<td>NaN</td>", False),
        ('<td width="1.0000">0.5</td>', '<td width="1.0001">0.5</td>', False),
        ("<td\n w=1.0000>", "<td\n w=1.0001>", False),
        ("<style>a {w: 1.0000}</style>", "<style>a {w: 1.0001}</style>", False),
        ("<!-- 2 > 1.0000 -->", "<!-- 2 > 1.0001 -->", False),
        ("<td>0.5</td>", "<th>0.5</td>", False),
        ("<b>0.5</b> x", "<b>0.5 x</b>", False),
        ("<style>\na\n</style>\n1.0000", "<style>\na\n</style>\n1.0001", True),
    ],
)
def test_html(stored, new, agree):
    text, found = compare_texts(stored, new, rtol=1e-3, atol=0, html=True)
    assert (not found) == agree
    assert text == (stored if agree else new)


def test_html_reason_has_the_line():
    html = "<style>\na\n</style>\n<td>{}</td>"
    (found,) = reasons(html.format("0.5"), html.format("0.6"), html=True)
    assert found.startswith("line 4: 0.5 in the notebook, 0.6 now, 0.1 apart")


def test_angle_brackets_are_tags_in_html_only():
    stored, new = "<tf.Tensor: numpy=0.50000>", "<tf.Tensor: numpy=0.50001>"
    assert not reasons(stored, new)
    assert reasons(stored, new, html=True)


# Tables and arrays whose padding moves: a sign appears, or the width changes.
ARRAYS = [
    (np.array([[0.1, 0.25], [3.0, 4.0]]), np.array([[0.1, 0.25], [3.0, -4.0]])),
    (np.array([0.25, 0.1]), np.array([0.25, 0.09999])),
    (np.array([1e-5, 1e-4]), np.array([-1e-5, 1e-4])),
]


@pytest.mark.parametrize("show", [str, repr, lambda a: str(pd.DataFrame(a))])
@pytest.mark.parametrize(("stored", "new"), ARRAYS)
def test_padding(stored, new, show):
    assert show(stored) != show(new)
    assert not reasons(show(stored), show(new), rtol=0, atol=10)
    assert reasons(show(stored), show(new), rtol=0, atol=1e-9)


# --- Properties ---------------------------------------------------------------------------------

lines = st.lists(
    st.sampled_from(
        ["loss", " ", "  ", "\n", "[", "]", ",", "-", "%", "<b>", "1.5", "-2e-3", "nan"]
    )
    | st.floats().map(str)
    | st.integers().map(str)
    | st.text(max_size=3)
).map("".join)
decimals = st.decimals(-1000, 1000, places=4)
shares = st.decimals("-0.99", "0.99", places=2)


@given(lines, st.booleans(), st.sampled_from([0, 1e-3, 1]))
def test_a_text_agrees_with_itself(text, html, tol):
    assert compare_texts(text, text, tol, tol, html) == (text, [])


@given(lines, lines, st.booleans())
def test_texts_that_agree_become_the_stored_one(stored, new, html):
    text, found = compare_texts(stored, new, 1e-3, 1e-3, html)
    assert (text == stored) == (not found)


@given(lines, lines, decimals, shares)
def test_a_float_within_tolerance_agrees(before, after, number, share):
    stored, new = (f"{before} {n} {after}" for n in (number, number + share / 10))
    assert not reasons(stored, new, rtol=0, atol=0.1)


@given(lines, lines, decimals, shares)
def test_a_float_beyond_tolerance_disagrees(before, after, number, share):
    beyond = number + (share + (1 if share >= 0 else -1)) / 10
    stored, new = (f"{before} {n} {after}" for n in (number, beyond))
    assert reasons(stored, new, rtol=0, atol=0.0999)


@given(lines, lines, st.integers(), st.integers())
def test_integers_have_no_tolerance(before, after, stored, new):
    texts = (f"{before} {n} {after}" for n in (stored, new))
    assert bool(reasons(*texts, rtol=1e9, atol=1e9)) == (stored != new)


@given(lines, lines)
def test_a_line_more_or_less_disagrees(stored, new):
    if stored.count("\n") != new.count("\n"):
        assert reasons(stored, new, rtol=1e9, atol=1e9)


# --- Metadata -----------------------------------------------------------------------------------


def item(**metadata):
    cell = SimpleNamespace(metadata=metadata, source="")
    return SimpleNamespace(cell=cell, cell_num=3, nodeid="notebooks/a.ipynb::Cell 3")


@pytest.mark.parametrize("name", ["rtol", "atol"])
@pytest.mark.parametrize("value", ["big", -1, -0.1, float("nan"), float("inf"), True, None, [1]])
def test_bad_metadata(name, value):
    message = f"notebooks/a.ipynb::Cell 3: {name} must be a finite number >= 0, not {value!r}"
    with pytest.raises(NbCellError, match=re.escape(message)):
        read_tolerance(item(**{name: value}))


def test_missing_metadata_is_zero():
    assert list(read_tolerance(item(rtol=0.1))) == [0.1, 0]
    assert list(read_tolerance(item(atol=2))) == [0, 2]


# --- Under pytest -------------------------------------------------------------------------------


def cell(source, *outputs, **metadata):
    return new_code_cell(source, outputs=list(outputs), execution_count=1, metadata=metadata)


def printing(new, stored, **metadata):
    output = new_output("stream", name="stdout", text=stored)
    return cell(f"print({new!r}, end='')", output, **metadata)


def displaying(new, stored, **metadata):
    output = new_output("display_data", data=stored)
    return cell(f"display({new!r}, raw=True)", output, **metadata)


@pytest.fixture
def run(pytester, monkeypatch):
    """Run cells, given by name, in one notebook; return each one's failure (or None), and all."""

    def run(cells, *options):
        notebook = new_notebook(cells=list(cells.values()))
        nbformat.write(notebook, pytester.path / "cases.ipynb")
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        plugins = ["-p", "tests.nbval_tolerance", "--nbval", "--nbval-current-env"]
        result = pytester.runpytest_subprocess(
            *plugins, "--color=no", "--junitxml=report.xml", *options
        )
        cases = ElementTree.parse(pytester.path / "report.xml").findall(".//testcase")
        assert [case.get("name") for case in cases] == [f"Cell {i}" for i in range(len(cells))]
        messages = [case.findtext("failure") for case in cases]
        return dict(zip(cells, messages, strict=True)), result.stdout.str()

    return run


FRAME = "import pandas as pd\npd.DataFrame({'id': [1, 22], 'score': [0.5, 0.25]})"


def frame(plain, html, **metadata):
    """The cell above, with these scores stored in place of 0.25."""
    stored = [pd.DataFrame({"id": [1, 22], "score": [0.5, score]}) for score in (plain, html)]
    data = {"text/plain": repr(stored[0]), "text/html": stored[1]._repr_html_()}
    return cell(FRAME, new_output("execute_result", data=data, execution_count=1), **metadata)


def test_notebook(run, pytester):
    pytester.path.joinpath("rules.cfg").write_text("regex: id=\\w+\nreplace: ID\n")
    array = "import numpy as np\nnp.array([0.1, 0.25])"
    result = {"text/plain": "array([-0.1 ,  0.25])"}
    error = new_output("error", ename="ValueError", evalue="got 0.5001", traceback=[])
    raising = "# NBVAL_RAISES_EXCEPTION\nraise ValueError('got 0.5000')"
    latex = {"text/latex": "$x = 0.5001$", "text/markdown": "**0.5001**"}
    log = "import sys; print('0.5000', file=sys.stderr)"
    stderr = new_output("stream", name="stderr", text="0.5001\n")
    passing = {
        "within": printing("loss: 0.5000\n", "loss: 0.5001\n", **RTOL),
        "atol": printing("0.5\n", "0.6\n", atol=0.2),
        "stderr": cell(log, stderr, **RTOL),
        "frame": frame(0.2501, 0.2501, **RTOL),
        "frame width": frame(-0.25, -0.25, atol=1),
        "array width": cell(
            array, new_output("execute_result", data=result, execution_count=1), atol=0.2
        ),
        "latex, markdown": displaying(
            {"text/latex": "$x = 0.5000$", "text/markdown": "**0.5000**"}, latex, **RTOL
        ),
        "exception": cell(raising, error, **RTOL),
        "sanitized": printing("id=ab 0.5000", "id=cd 0.5001", **RTOL),
        "untagged": printing("0.5 1\n", "0.5 1\n"),
        "ignored": cell("# NBVAL_IGNORE_OUTPUT\nprint(0.5)", *printing("", "0.7").outputs, **RTOL),
    }
    failing = {
        "beyond": (
            printing("a\nb\nrecall 0.9612\n", "a\nb\nrecall 0.9594\n", **RTOL),
            "stdout, line 3: 0.9594 in the notebook, 0.9612 now, 0.0018 apart; "
            "allowed rtol=0.001 atol=0",
        ),
        "word": (printing("0.5 good", "0.5 bad", **RTOL), "'0.5 bad' in the notebook, '0.5 good'"),
        "line missing": (printing("0.5\n", "0.5\n0.5\n", **RTOL), "3 lines in the notebook, 2 now"),
        "line added": (printing("0.5\n0.5\n", "0.5\n", **RTOL), "2 lines in the notebook, 3 now"),
        "NaN": (printing("nan", "0.5", **RTOL), "nan now: a float, then a NaN"),
        "integer": (printing("1001", "1000", **RTOL), "1001 now: an integer, then an integer"),
        "sign": (printing("-0.5", "0.5", **RTOL), "-0.5 now, 1.0 apart"),
        "kind": (printing("7.0", "7", **RTOL), "7.0 now: an integer, then a float"),
        "html beyond": (frame(0.25, 0.26, **RTOL), "text/html, line "),
        "plain beyond": (
            frame(0.26, 0.25, **RTOL),
            "text/plain, line 3: 0.26 in the notebook, 0.25 now",
        ),
        "html NaN": (frame(0.25, np.nan, **RTOL), "NaN in the notebook, 0.25 now: a NaN, then"),
        "exception beyond": (
            cell(raising, error, rtol=1e-6),
            "evalue, line 1: 0.5001 in the notebook, 0.5000 now",
        ),
        "html attribute": (
            displaying({"text/html": "<p w=0.5000>"}, {"text/html": "<p w=0.5001>"}, **RTOL),
            "text/html, the HTML tags differ",
        ),
        "stderr beyond": (cell(log, stderr, rtol=1e-6), "stderr, line 1: 0.5001 in the notebook"),
        "no output": (cell("pass", *passing["within"].outputs, **RTOL), "Missing output fields"),
        "new output": (cell("print(0.5)", **RTOL), "Unexpected output fields"),
        "one output more": (
            cell(
                "display(0.5); display(0.5)", *displaying(0, {"text/plain": "0.5"}).outputs, **RTOL
            ),
            "dissimilar number of outputs",
        ),
        "many": (
            printing("0.1\n" * 15, "0.2\n" * 15, **RTOL),
            f"... and {15 - MAX_REPORTED} more",
        ),
        "bad rtol": (
            printing("0.5", "0.5", rtol="big"),
            "cases.ipynb::Cell {index}: rtol must be a finite number >= 0, not 'big'",
        ),
        "bad atol": (
            printing("0.5", "0.5", atol=-1),
            "cases.ipynb::Cell {index}: atol must be a finite number >= 0, not -1",
        ),
    }
    untagged = {
        "untagged float": printing("0.5000", "0.5001"),
        "untagged blank": printing("a  b", "a b"),
    }
    cells = passing | {name: case for name, (case, _) in failing.items()} | untagged
    messages, printed = run(cells, "--nbval-sanitize-with=rules.cfg")
    failed = {name for name, message in messages.items() if message is not None}
    assert failed == failing.keys() | untagged.keys()
    assert printed.count(REMEDY.format("cases")) == len(failed)
    for index, name in enumerate(cells):
        if name in failing:
            assert failing[name][1].format(index=index) in messages[name]
