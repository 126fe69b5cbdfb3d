"""Notebooks for a class keep everything but the solutions."""

import nbformat
import pytest

from tools.notebooks import SOURCES, read_source
from tools.students import OPENS, without_solutions

NAMES = sorted(path.stem for path in SOURCES.glob("*.md"))


def markdown(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source):
    return nbformat.v4.new_code_cell(source)


def test_solutions_give_way_to_empty_cells():
    notebook = nbformat.v4.new_notebook(
        cells=[
            code("shop = 1"),
            markdown(f"### Exercise 1\n\nAdd.\n\n{OPENS}\n\nIt is 2."),
            code("shop + 1"),
            markdown(f"</details>\n\n### Exercise 2\n\nDouble.\n\n{OPENS}"),
            code("shop * 2"),
            markdown("As before."),
            markdown("</details>"),
            markdown("## Self-check"),
        ]
    )
    assert without_solutions(notebook) == 2
    assert [cell.source for cell in notebook.cells] == [
        "shop = 1",
        "### Exercise 1\n\nAdd.",
        "# Your solution",
        "### Exercise 2\n\nDouble.",
        "# Your solution",
        "## Self-check",
    ]


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([markdown(OPENS), code("1")], "not closed"),
        ([markdown(OPENS), markdown(OPENS), markdown("</details>")], "begins before"),
        ([markdown(f"{OPENS}\n{OPENS}")], "begins before"),
    ],
)
def test_a_solution_without_an_end_is_an_error(cells, message):
    with pytest.raises(ValueError, match=message):
        without_solutions(nbformat.v4.new_notebook(cells=cells))


@pytest.mark.parametrize("name", NAMES)
def test_every_chapter_has_a_version_without_solutions(name):
    whole, notebook = (read_source(SOURCES / f"{name}.md") for _ in range(2))
    count = without_solutions(notebook)
    nbformat.validate(notebook)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert count == text.count("### Exercise ")
    assert OPENS not in text
    # What comes before the exercises is untouched, and all headings are still there.
    first = next((i for i, c in enumerate(whole.cells) if "## Exercises" in c.source), None)
    assert notebook.cells[:first] == whole.cells[:first]
    headings = [
        [line for cell in each.cells for line in cell.source.splitlines() if line.startswith("## ")]
        for each in (whole, notebook)
    ]
    assert headings[0] == headings[1]
