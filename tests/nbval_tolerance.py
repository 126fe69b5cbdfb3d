r"""Let a notebook cell ask nbval to compare its floats within a tolerance.

nbval compares a cell's outputs with the stored ones as exact strings. A code cell whose metadata
holds ``rtol`` or ``atol`` (finite numbers >= 0; a missing one is 0) is compared token by token:
two floats agree if ``abs(new - stored) <= atol + rtol * abs(stored)``, all the rest must be equal.

- A float has a decimal point or an exponent: ``0.5``, ``1.``, ``.5``, ``-1.2e-05``, ``3e4``.
  Integers, ``nan`` and ``inf`` are exact; an integer never agrees with a float.
- A percent sign or a unit after a float is text: ``95.3%``, ``1.5s``, ``0.8x``, ``0.2j``.
- A digit in a word is text, as in ``x1.5``, ``gpt-3.5`` or ``3e4f5a``; so are versions (``3.15.1``,
  ``2.0rc1``) and clock times (``10:30:45.5``). But a lone ``2.19`` or a full stop after an
  integer, ``3.``, reads as a float, and ``1,234.5`` as the integer 1 and the float 234.5.
- A minus (or U+2212) is a sign unless glued to a word or a number: ``1-2`` has no negative number.
- A float may change its width, which moves the padding of arrays and tables. So blanks and tabs
  are ignored beside a number and at the ends of a line, and elsewhere count as one blank.
  Line breaks count, and rules such as ``----`` are text.
- The tags of ``text/html``, with their attributes, and its styles and scripts are exact.

Streams, ``text/*`` data and the message of an expected exception are compared so. The rest, with
the number of outputs and their kinds, is left to nbval, as are the cells without such metadata.
"""

import copy
import functools
import math
import re
from collections import defaultdict
from decimal import Decimal

import pytest
from nbval.plugin import IPyNbCell, NbCellError

REMEDY = "If the new output is right, run `make notebooks CHAPTER={}`; if not, mend the source."
MAX_REPORTED = 10

TOKEN = re.compile(
    r"""(?<![\w.]) (?:
        [0-9]+ (?: : [0-9.]+ )+                          # clock time: text
    |   (?P<number> [-+\u2212]? (?:
            (?: [0-9]++\.[0-9]++ | \.[0-9]++ ) (?: e[-+]?[0-9]{1,4}+ )?+
            (?! [^\W\d_]* (?: [\d_] | \.\w ) )           # a unit may follow, not 2.0rc1, 3.15.1
        |   [0-9]++ (?: \. | \.?e[-+]?[0-9]{1,4}+ ) (?= j?+ (?! \w | \.\w ) )
        |   [0-9]++
        |   (?: nan | inf | infinity ) (?!\w)
        ) )
    |   [^\W\d][\w.]* (?: -[\w.]+ )*                     # word: text
    )""",
    re.VERBOSE | re.IGNORECASE,
)
MARKUP = re.compile(r"<(style|script)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.DOTALL | re.IGNORECASE)


def tokenise(line):
    """Split a line into text and numbers in turn, beginning and ending with text.

    >>> tokenise("loss:   -0.5, keras 3.15.1:  95.3%")
    ['loss:', '-0.5', ', keras', '3', '.15.1:', '95.3', '%']
    """
    tokens, end = [], 0
    for match in TOKEN.finditer(line):
        if match["number"]:
            tokens += [line[end : match.start()], match["number"]]
            end = match.end()
    tokens.append(line[end:])
    tokens[::2] = [re.sub(r"[ \t]+", " ", text).strip(" ") for text in tokens[::2]]
    return tokens


def kind(number):
    """Name the kind of a number token.

    >>> [kind(number) for number in ("7", "7.", "3e4", "NaN", "-inf")]
    ['an integer', 'a float', 'a float', 'a NaN', 'an infinity']
    """
    if number[-1].isalpha():
        return "a NaN" if "nan" in number.lower() else "an infinity"
    return "a float" if re.search("[.e]", number, re.IGNORECASE) else "an integer"


def compare_numbers(stored, new, rtol, atol):
    """Say how two number tokens disagree; an empty string if they agree.

    The arithmetic is decimal, on the digits as printed.

    >>> compare_numbers("0.100", "0.101", rtol=0, atol=0.001)
    ''
    >>> compare_numbers("0.9594", "0.9612", rtol=0.001, atol=0)
    '0.9594 in the notebook, 0.9612 now, 0.0018 apart; allowed rtol=0.001 atol=0'
    >>> compare_numbers("0.5", "nan", rtol=0.001, atol=0)
    '0.5 in the notebook, nan now: a float, then a NaN; only floats have a tolerance'
    """
    if stored == new:
        return ""
    message = f"{stored} in the notebook, {new} now"
    if not kind(stored) == kind(new) == "a float":
        return f"{message}: {kind(stored)}, then {kind(new)}; only floats have a tolerance"
    reference, value = (Decimal(number.replace("\N{MINUS SIGN}", "-")) for number in (stored, new))
    apart = abs(value - reference)
    if apart <= Decimal(str(atol)) + Decimal(str(rtol)) * abs(reference):
        return ""
    return f"{message}, {apart:.3g} apart; allowed rtol={rtol} atol={atol}"


def compare_lines(stored, new, rtol, atol):
    """List the disagreements of two lines, number by number if their texts are equal."""
    stored_tokens, new_tokens = tokenise(stored), tokenise(new)
    if stored_tokens[::2] != new_tokens[::2]:
        return [f"{stored.strip()!r} in the notebook, {new.strip()!r} now"]
    pairs = zip(stored_tokens[1::2], new_tokens[1::2], strict=True)
    return [reason for pair in pairs if (reason := compare_numbers(*pair, rtol, atol))]


def split_tags(html):
    """Return the tags of ``html``, and its text with the line breaks and the places of the tags.

    >>> split_tags('<td width="0.5">0.1234</td>')
    (['<td width="0.5">', '</td>'], '<>0.1234<>')
    """
    tags = [match[0] for match in MARKUP.finditer(html)]
    return tags, MARKUP.sub(lambda match: "<" + "\n" * match[0].count("\n") + ">", html)


def compare_texts(stored, new, rtol, atol, html=False):
    """Return the new text with its agreeing lines as stored, and the list of disagreements."""
    stored_lines, new_lines = stored.split("\n"), new.split("\n")
    if html:
        (stored_tags, stored), (new_tags, new_cells) = split_tags(stored), split_tags(new)
        if stored_tags != new_tags:
            return new, ["the HTML tags differ"]
        new = new_cells
    if len(stored_lines) != len(new_lines):
        return new, [f"{len(stored_lines)} lines in the notebook, {len(new_lines)} now"]
    reasons = []
    for i, lines in enumerate(zip(stored.split("\n"), new.split("\n"), strict=True)):
        found = compare_lines(*lines, rtol, atol)
        reasons += [f"line {i + 1}: {reason}" for reason in found]
        if not found:
            new_lines[i] = stored_lines[i]
    return "\n".join(new_lines), reasons


def read_tolerance(item):
    """Return the cell's ``rtol`` and ``atol``; fail the cell if one is not a finite number >= 0."""
    tolerance = {name: item.cell.metadata.get(name, 0) for name in ("rtol", "atol")}
    for name, value in tolerance.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and math.isfinite(value) and value >= 0):
            message = f"{item.nodeid}: {name} must be a finite number >= 0, not {value!r}"
            raise NbCellError(item.cell_num, message, item.cell.source)
    return tolerance.values()


def text_fields(outputs):
    """List the text fields of outputs by kind, as nbval pairs them: {kind: [(dict, key), ...]}."""
    fields = defaultdict(list)
    for output in outputs:
        if output.output_type == "stream":
            fields[output.name].append((output, "text"))
        elif output.output_type == "error":
            fields["evalue"].append((output, "evalue"))
        for mime in output.get("data", {}):
            if mime.startswith("text/"):
                fields[mime].append((output["data"], mime))
    return fields


def compare_outputs(item, rtol, atol, test, ref):
    """Give nbval the outputs to compare, the new ones with their agreeing lines as stored."""
    test, ref = copy.deepcopy(test), copy.deepcopy(ref)
    test_fields, ref_fields = text_fields(test), text_fields(ref)
    reasons = []
    for field, stored_texts in ref_fields.items():
        for (new, key), (stored, _) in zip(test_fields[field], stored_texts, strict=False):
            stored[key] = item.sanitize(stored[key])
            html = field == "text/html"
            new[key], found = compare_texts(stored[key], item.sanitize(new[key]), rtol, atol, html)
            reasons += [f"{field}, {reason}" for reason in found]
    agree = IPyNbCell.compare_outputs(item, test, ref)
    if len(reasons) > MAX_REPORTED:
        reasons[MAX_REPORTED:] = [f"... and {len(reasons) - MAX_REPORTED} more"]
    item.comparison_traceback[:0] = [*reasons, ""]
    return agree


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item):
    """Before a cell with a tolerance runs, put the comparison above in front of nbval's own."""
    if isinstance(item, IPyNbCell) and not {"rtol", "atol"}.isdisjoint(item.cell.metadata):
        item.compare_outputs = functools.partial(compare_outputs, item, *read_tolerance(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Under the report of any failed cell, say what to do."""
    report = yield
    if isinstance(item, IPyNbCell) and report.failed:
        report.sections.append(("How to mend it", REMEDY.format(item.path.stem)))
    return report
