"""Turn each chapter's Markdown source into an executed notebook, and tell which are out of date.

    python tools/notebooks.py            execute the chapters whose notebook is out of date
    python tools/notebooks.py NAME       execute the chapter NAME, such as 04_2_worked_example
    python tools/notebooks.py --force    execute every chapter

`book/chapters/NAME.md` (jupytext's md:myst) is the only place where a chapter is edited;
`notebooks/NAME.ipynb` is made from it and is what the book shows, Colab opens and nbval re-runs.
"""

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat.reader import NotJSONError

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "book" / "chapters"
NOTEBOOKS = ROOT / "notebooks"
METADATA = {"atol", "jupyter", "mystnb", "rtol", "tags"}
MEND = "run `make notebooks` (notebooks are generated: edit the source, not the notebook)"


def read_source(path):
    """Return the unexecuted notebook that the chapter source at `path` describes.

    Cell ids and notebook metadata are fixed, so that the same source gives the same bytes.
    """
    notebook = jupytext.read(path, fmt="md:myst")
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:03d}"
    return notebook


def problems(name, sources=SOURCES, notebooks=NOTEBOOKS):
    """Return what keeps the notebook of chapter `name` from being shown, one sentence each.

    Args:
        name: file name without suffix, such as `"04_2_worked_example"`.
        sources: folder of the Markdown sources.
        notebooks: folder of the executed notebooks.

    Returns:
        A list of strings, empty when the notebook has exactly the cells of its source, every code
        cell was executed in order, none failed without the tag `raises-exception`, none wrote to
        stderr, and all metadata is known.
    """
    source, path = sources / f"{name}.md", notebooks / f"{name}.ipynb"
    if not source.exists():
        return [f"{path.name}: has no source {source.name}; delete the notebook or add the source"]
    if not path.exists():
        return [f"{source.name}: has no notebook yet; {MEND}"]
    try:
        notebook = nbformat.read(path, as_version=4)
    except NotJSONError:
        return [f"{path.name}: is not a notebook (a merge conflict?); {MEND}"]
    return [f"{path.name}: {fault}" for fault in differences(read_source(source), notebook)] + [
        f"{path.name}: {fault}" for fault in faults(notebook)
    ]


def differences(expected, notebook):
    """Yield where the cells of `notebook` are not those of its source, outputs apart."""
    if len(expected.cells) != len(notebook.cells):
        yield (f"has {len(notebook.cells)} cells, its source {len(expected.cells)}; {MEND}")
    for number, (want, have) in enumerate(zip(expected.cells, notebook.cells, strict=False), 1):
        for part in ("cell_type", "source", "metadata"):
            if want[part] != have[part]:
                yield (
                    f"cell {number} differs from its source in {part.replace('_', ' ')}: "
                    f"{first_difference(want[part], have[part])}; {MEND}"
                )


def first_difference(want, have):
    r"""Return the first line in which two texts differ, both ways, for a message.

    >>> first_difference("one\ntwo", "one\n2")
    "source 'two', notebook '2'"
    """
    wants, haves = str(want).splitlines(), str(have).splitlines()
    longest = max(len(wants), len(haves))
    pairs = zip(
        wants + [""] * (longest - len(wants)), haves + [""] * (longest - len(haves)), strict=True
    )
    line, other = next(pair for pair in pairs if pair[0] != pair[1])
    return f"source {line!r}, notebook {other!r}"


def faults(notebook):
    """Yield what is wrong with the code cells: order, errors, stderr, metadata, emptiness."""
    count = 0
    for number, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code":
            continue
        if not cell.source.strip():
            yield f"cell {number} is empty; remove it from the source, then {MEND}"
            continue
        count += 1
        if unknown := cell.metadata.keys() - METADATA:
            yield f"cell {number} has unknown metadata {sorted(unknown)}; known: {sorted(METADATA)}"
        tags = cell.metadata.get("tags", [])
        if cell.execution_count is None:
            yield f"cell {number} was not executed; {MEND}"
        elif cell.execution_count != count:
            yield f"cell {number} was executed out of order; {MEND}"
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in tags:
                yield f"cell {number} failed with {output.ename}; mend its source, then {MEND}"
            if output.get("name") == "stderr":
                yield f"cell {number} shows stderr to the reader; mend its source, then {MEND}"


def execute(name, sources=SOURCES, notebooks=NOTEBOOKS):
    """Execute the chapter `name` from the top in a fresh kernel and write its notebook.

    Returns:
        `(total, slowest)`, seconds for the whole notebook and for its slowest cell.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the notebook on disk is untouched.
    """
    notebook = read_source(sources / f"{name}.md")
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=120,
        record_timing=True,
        coalesce_streams=True,
        resources={"metadata": {"path": str(notebooks)}},
    )
    start = time.perf_counter()
    client.execute()
    total = time.perf_counter() - start
    slowest = max((take_timing(cell) for cell in notebook.cells), default=0.0)
    for cell in notebook.cells:
        # Outputs that the book does not show, such as start-up messages with times and process
        # numbers, are not stored either.
        if "remove-output" in cell.metadata.get("tags", []):
            cell.outputs = []
    notebook.metadata.language_info = {"name": "python"}
    nbformat.validate(notebook)
    nbformat.write(notebook, notebooks / f"{name}.ipynb")
    return total, slowest


def take_timing(cell):
    """Remove nbclient's time stamps from a cell and return the seconds that it ran."""
    stamps = cell.metadata.pop("execution", {})
    if "iopub.execute_input" not in stamps:
        return 0.0
    ends = (stamps["iopub.execute_input"], stamps["shell.execute_reply"])
    begin, end = (datetime.fromisoformat(stamp) for stamp in ends)
    return (end - begin).total_seconds()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    chapters = sorted(path.stem for path in SOURCES.glob("*.md"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="a chapter to execute")
    parser.add_argument("--force", action="store_true", help="execute every chapter")
    options = parser.parse_args()
    if unknown := set(options.names) - set(chapters):
        parser.error(f"no chapter {', '.join(sorted(unknown))}; there are {', '.join(chapters)}")
    failed = False
    for name in options.names or chapters:
        if not options.names and not options.force and not problems(name):
            print(f"{name}: up to date")
            continue
        print(f"{name}: executing", flush=True)
        try:
            total, slowest = execute(name)
            print(f"{name}: {total:.0f} s, slowest cell {slowest:.1f} s")
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            print(f"{name}: a cell failed, the notebook is unchanged\n{error}", file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
