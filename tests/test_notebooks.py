"""Notebooks are their sources, executed; chapters follow the template."""

import re
import shutil

import nbformat
import pytest

from tools.notebooks import NOTEBOOKS, SOURCES, execute, problems, read_source

NAMES = sorted({path.stem for path in [*SOURCES.glob("*.md"), *NOTEBOOKS.glob("*.ipynb")]})
CHAPTERS = [name for name in NAMES if not name.startswith("00_")]
HEADINGS = [
    "The question",
    "What can go wrong",
    "Summary",
    "Exercises",
    "Self-check",
    "Further reading",
]


@pytest.mark.parametrize("name", NAMES)
def test_notebook_is_its_source_executed(name):
    found = problems(name)
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_alt_text(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    for number, cell in enumerate(notebook.cells, 1):
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) >= 40, (
                f"{name}, cell {number}: its figure needs alt text of a sentence or more; add "
                "`mystnb: {image: {alt: …}}` to the cell's metadata in the source"
            )


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_follows_the_template(name):
    text = (SOURCES / f"{name}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    missing = [heading for heading in HEADINGS if heading not in headings]
    assert not missing, f"{name}: the template's headings {missing} are missing"
    assert [h for h in headings if h in HEADINGS] == HEADINGS, f"{name}: headings out of order"
    for mark in ("After this chapter you can", "**You need**", "**Time:**"):
        assert mark in text, f"{name}: '{mark}' is missing above the first section"
    bullets = re.search(r"^## Summary\n\n(.*?)\n\n", text, flags=re.MULTILINE | re.DOTALL).group(1)
    assert bullets.count("\n- ") + 1 == 5, f"{name}: the summary has five bullets"


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_exercise_has_a_hidden_executed_solution(name):
    exercises = (SOURCES / f"{name}.md").read_text(encoding="utf-8").split("## Self-check")[0]
    exercises = exercises.split("\n### Exercise ")[1:]
    assert 3 <= len(exercises) <= 5, f"{name}: 3 to 5 exercises, not {len(exercises)}"
    for number, exercise in enumerate(exercises, 1):
        where = f"{name}, exercise {number}"
        assert exercise.startswith(f"{number}\n"), f"{where}: is numbered {exercise.split()[0]}"
        solution = exercise.split('<details class="solution"><summary>Solution</summary>')
        assert len(solution) == 2, f"{where}: needs one solution"
        assert "```{code-cell}" in solution[1], f"{where}: its solution has no executed code"
        assert solution[1].count("</details>") == 1, f"{where}: its solution is not closed"


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_quiz_question_has_one_right_answer(name):
    quiz = (SOURCES / f"{name}.md").read_text(encoding="utf-8").split("## Self-check")[1]
    options = re.findall(r'<details class="quiz (right|wrong)" name="(quiz-\d+)">', quiz)
    questions = sorted({question for _, question in options})
    assert len(questions) >= 3, f"{name}: the self-check has at least three questions"
    for question in questions:
        answers = [kind for kind, of in options if of == question]
        assert answers.count("right") == 1, f"{name}, {question}: exactly one right answer"
        assert len(answers) >= 2, f"{name}, {question}: at least two options"


SOURCE = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# A chapter

A word.

```{code-cell} ipython3
---
mystnb:
  image:
    alt: A line.
---
print(1)
```

```{code-cell} ipython3
print(2)
```
"""


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("chapter")
    (folder / "one.md").write_text(SOURCE)
    execute("one", folder, folder)
    return folder


@pytest.fixture
def folder(executed, tmp_path):
    """Return a fresh copy of a chapter that is in order."""
    return shutil.copytree(executed, tmp_path / "copy")


def edit(path, change):
    notebook = nbformat.read(path, as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, path)


def test_a_chapter_in_order_has_no_problems(folder):
    assert problems("one", folder, folder) == []


def test_executing_twice_gives_the_same_bytes(folder):
    before = (folder / "one.ipynb").read_bytes()
    execute("one", folder, folder)
    assert (folder / "one.ipynb").read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("A word.", "Another word.", "cell 1 differs .* source: source 'Another word.', notebook"),
        ("alt: A line.", "alt: A dot.", "cell 2 differs from its source in metadata"),
        ("print(2)", "print(3)", r"cell 3 differs .* 'print\(3\)', notebook 'print\(2\)'"),
        ("```{code-cell} ipython3\nprint(2)\n```\n", "", "has 3 cells, its source 2"),
    ],
)
def test_a_changed_source_is_named_with_the_command_that_mends_it(folder, old, new, message):
    assert old in SOURCE
    (folder / "one.md").write_text(SOURCE.replace(old, new))
    (problem,) = problems("one", folder, folder)
    assert re.search(rf"^one.ipynb: {message}", problem)
    assert "make notebooks" in problem


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cells: cells[1].update(execution_count=None), "cell 2 was not executed"),
        (lambda cells: cells[2].update(execution_count=5), "cell 3 was executed out of order"),
        (
            lambda cells: cells[2].outputs.append(
                nbformat.v4.new_output("error", ename="KeyError", evalue="x", traceback=[])
            ),
            "cell 3 failed with KeyError",
        ),
        (lambda cells: cells[2].update(source=""), "cell 3 is empty"),
        (lambda cells: cells[2].metadata.update(rtoll=0.1), "cell 3 has unknown metadata"),
        (
            lambda cells: cells[1].outputs.append(
                nbformat.v4.new_output("stream", name="stderr", text="noise")
            ),
            "cell 2 shows stderr",
        ),
    ],
)
def test_a_faulty_notebook_is_named(folder, change, message):
    edit(folder / "one.ipynb", change)
    found = [p for p in problems("one", folder, folder) if "differs from its source" not in p]
    assert len(found) == 1
    assert found[0].startswith(f"one.ipynb: {message}")


def test_a_damaged_notebook_is_named(folder):
    (folder / "one.ipynb").write_text("<<<<<<< HEAD\n{}")
    (problem,) = problems("one", folder, folder)
    assert problem.startswith("one.ipynb: is not a notebook")
    assert "make notebooks" in problem


def test_a_tag_announces_an_error(tmp_path):
    tag = "```{code-cell} ipython3\n:tags: [raises-exception]\n\n1 / 0\n```\n"
    (tmp_path / "one.md").write_text(SOURCE + tag)
    execute("one", tmp_path, tmp_path)
    assert problems("one", tmp_path, tmp_path) == []


def test_outputs_that_are_not_shown_are_not_stored(tmp_path):
    noise = "import os, sys\nprint(os.getpid(), file=sys.stderr)"
    tag = f"```{{code-cell}} ipython3\n:tags: [remove-output]\n\n{noise}\n```\n"
    (tmp_path / "one.md").write_text(SOURCE + tag)
    execute("one", tmp_path, tmp_path)
    notebook = nbformat.read(tmp_path / "one.ipynb", as_version=4)
    assert notebook.cells[-1].execution_count == 3
    assert notebook.cells[-1].outputs == []
    assert problems("one", tmp_path, tmp_path) == []


def test_source_and_notebook_without_each_other(tmp_path):
    (tmp_path / "new.md").write_text(SOURCE)
    assert "has no notebook yet" in problems("new", tmp_path, tmp_path)[0]
    nbformat.write(read_source(tmp_path / "new.md"), tmp_path / "old.ipynb")
    assert "has no source" in problems("old", tmp_path, tmp_path)[0]
