"""Timestamps in a table: Unix seconds or ISO 8601, one kind in a file."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np

_SECONDS = re.compile(r"-?\d+(\.\d*)?", re.ASCII)
_DATE_WITHOUT_HYPHENS = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])", re.ASCII)
_ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?P<time>[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(?P<zone>Z|[+-]\d\d(:?\d\d)?)?)?",
    re.ASCII,
)
_UNIX, _ISO_OFFSET, _ISO_LOCAL = (
    "Unix seconds",
    "ISO 8601 with an offset",
    "ISO 8601 without offset",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
YEAR_2100 = 4_102_444_800
_FINER = (("milliseconds", 10**3), ("microseconds", 10**6), ("nanoseconds", 10**9))


def check_timestamps(table):
    """Report the faulty values of a table's column `timestamp`, and read the others.

    Args:
        table: `Table` with the column `timestamp`; empty values are reported elsewhere.

    Returns:
        seconds: int64 array of shape `(n_rows,)`, whole seconds since 1970-01-01 UTC; without
            meaning in a faulty row.
        dates: bool array of shape `(n_rows,)`, True for a date without a time of day.
        local_time: whether there is a time of day without an offset, which is read as UTC.
    """
    values = table.columns["timestamp"]
    read = {value: _read(value) for value in set(values)}
    kinds = Counter(read[value][0] for value in values)
    kinds.pop(None, None)
    usual = kinds.most_common(1)[0][0] if kinds else None
    # 20240501 is a time in August 1970, but a log that holds nothing else means dates.
    without_hyphens = usual == _UNIX and all(
        _DATE_WITHOUT_HYPHENS.fullmatch(value) for value, (kind, *_) in read.items() if kind
    )

    def complain(value):
        kind, seconds, _ = read[value]
        if not value.strip():
            return None
        if kind is None:
            return (
                "bad timestamp",
                "Expected Unix seconds or ISO 8601, such as 1714566600 or 2024-05-01T12:30:00Z",
            )
        if kind != usual:
            message = f"Expected {usual}, as in most rows: one file holds one kind"
            return "mixed timestamps", message
        if without_hyphens:
            return "bad timestamp", "Expected Unix seconds; a date is written 2024-05-01"
        if seconds < 0:
            return "bad timestamp", "Expected a time since 1970"
        if seconds >= YEAR_2100:
            unit = next(
                (
                    f": are these {unit}? Divide by {factor:,}"
                    for unit, factor in _FINER
                    if kind == _UNIX and seconds < YEAR_2100 * factor
                ),
                "",
            )
            return "bad timestamp", f"Expected a time before the year 2100{unit}"
        return None

    table.check("timestamp", complain)
    seconds = np.fromiter((read[value][1] for value in values), np.int64, len(values))
    dates = np.fromiter((read[value][2] for value in values), bool, len(values))
    local_time = usual == _ISO_LOCAL and any(
        kind == _ISO_LOCAL and not is_date for kind, _, is_date in read.values()
    )
    return seconds, dates, local_time


def _read(value):
    """Return a timestamp's kind, None if unreadable, its seconds, and whether it is a date."""
    if _SECONDS.fullmatch(value):
        # Not int(value): it refuses thousands of digits, and a float is exact up to 2100. The
        # bounds keep what is far beyond within int64.
        return _UNIX, int(min(max(float(value), -(2.0**62)), 2.0**62)), False
    match = _ISO.fullmatch(value)
    try:
        moment = datetime.fromisoformat(value) if match else None
    except ValueError:  # such as February 30
        moment = None
    if moment is None:
        return None, 0, False
    kind = _ISO_OFFSET if match["zone"] else _ISO_LOCAL
    if kind == _ISO_LOCAL:
        moment = moment.replace(tzinfo=UTC)
    return kind, (moment - _EPOCH) // timedelta(seconds=1), match["time"] is None
