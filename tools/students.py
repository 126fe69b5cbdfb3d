"""Make each chapter's notebook for a class: without outputs, and without the exercises' solutions.

    python -m tools.students FOLDER      write them all to FOLDER

Where a solution stood there is an empty cell to write one into. The self-check keeps its answers.
"""

import argparse
import sys
from pathlib import Path

import nbformat

from tools.notebooks import SOURCES, read_source

OPENS = '<details class="solution"><summary>Solution</summary>'
CLOSES = "</details>"


def without_solutions(notebook):
    """Replace the solutions in an unexecuted notebook, in place.

    Args:
        notebook: as `notebooks.read_source` returns it.

    Returns:
        The number of solutions that were taken out.

    Raises:
        ValueError: if a solution is not closed before another one begins.
    """
    cells, inside, count = [], False, 0
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            if inside and CLOSES in cell.source:
                inside, cell.source = False, cell.source.split(CLOSES, 1)[1].strip()
            before, *solution = cell.source.split(OPENS)
            if len(solution) > 1 or (inside and solution):
                raise ValueError("A solution begins before the one before it is closed.")
            if not inside and before.strip():
                cell.source = before.strip()
                cells.append(cell)
            if solution:
                inside, count = True, count + 1
                place = nbformat.v4.new_code_cell("# Your solution", id=f"solution-{count}")
                cells.append(place)
        elif not inside:
            cells.append(cell)
    if inside:
        raise ValueError("A solution is not closed.")
    notebook.cells = cells
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(SOURCES.glob("*.md")):
        notebook = read_source(source)
        count = without_solutions(notebook)
        nbformat.write(notebook, folder / f"{source.stem}.ipynb")
        print(f"{source.stem}: {count} solutions taken out")


if __name__ == "__main__":
    sys.exit(main())
