"""What is wrong in a folder of your own data, and how it is told: all of it, by kind."""

import reprlib
from dataclasses import dataclass

_SHOWN = 20
_short = reprlib.Repr()
_short.maxstring = 60


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
        converted: True if the file is loaded all the same, converted, and so nothing is left out.
    """

    file: str
    line: int | None
    column: str | None
    value: str | None
    kind: str
    message: str
    converted: bool = False

    def __str__(self):
        line = f", line {self.line}" if self.line else ""
        column = f", {self.column}" if self.column else ""
        value = "" if self.value is None else f": {_short.repr(self.value)}"
        return f"{self.file}{line}{column}{value}. {self.message}."


class FolderError(ValueError):
    """What must be mended in a folder, all of it; `faults` is the list of `Fault`."""

    def __init__(self, faults, remedy):
        super().__init__(faults, remedy)
        self.faults = faults
        self.remedy = remedy

    def __str__(self):
        return f"{_listing(self.faults)}\n{self.remedy}"


class FolderWarning(UserWarning):
    """What `load_folder` left out or converted; `faults` is the list of `Fault`."""

    def __init__(self, faults):
        super().__init__(faults)
        self.faults = faults

    def __str__(self):
        left_out = [fault for fault in self.faults if not fault.converted]
        converted = [fault for fault in self.faults if fault.converted]
        return "\n".join(
            f"{what} because of {_listing(faults)}"
            for what, faults in [("Left out", left_out), ("Converted", converted)]
            if faults
        )


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
