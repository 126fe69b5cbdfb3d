"""The page says what the results say, and the results are what the baselines do."""

import json
import re
from pathlib import Path

import pytest

from benchmarks import ours, protocol, render, two_towers, write_page
from mmrec_tf import load_movielens_100k

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "benchmarks/results/movielens_100k.json").read_text(encoding="utf-8"))
QUESTIONS = {question["name"]: question for question in RESULTS["questions"]}
PAGE = (ROOT / "book/benchmarks.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def contenders():
    """Return the questions, and our contenders that need no pretrained encoder, by name."""
    data = load_movielens_100k()
    facts = ours.genres_and_years(data.items)
    questions = [protocol.warm_question(data), protocol.cold_question(data)]
    none = facts[:, :0]
    baselines = [
        [*ours.warm_baselines(), two_towers.warm_two_tower()],
        [*ours.cold_baselines(facts, none), two_towers.cold_two_tower(facts, none)],
    ]
    return {
        question.name: (question, {contender.name: contender for contender in contenders})
        for question, contenders in zip(questions, baselines, strict=True)
    }


def test_the_page_is_made_of_the_results():
    assert render.page(*write_page.results()) == PAGE, "run `python -m benchmarks.write_page`"


def test_every_row_stands_on_the_page_with_its_numbers():
    for question in QUESTIONS.values():
        for row in question["rows"]:
            name, library = row["name"], row["library"]
            model = f"**{name}**" if library == "mmrec_tf" else f"{name} ({library})"
            means = [f"{value['mean']:.3f}" for value in row["test"].values()]
            lines = [line for line in PAGE.splitlines() if line.startswith(f"| {model} |")]
            assert means in [re.findall(r"([.\d]+)\s±", line) for line in lines], model


def test_settings_were_chosen_on_validation_from_distinct_ones():
    for question in QUESTIONS.values():
        for row in question["rows"]:
            best = max(row["grid"], key=lambda setting: setting["validation"])
            assert row["options"] == best["options"]
            assert len({json.dumps(s["options"]) for s in row["grid"]}) == len(row["grid"])


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("warm", "popularity"),
        ("warm", "EASE"),
        ("warm", "user-kNN"),
        ("cold", "random"),
        ("cold", "ridge: genres, years"),
    ],
)
def test_results_of_our_baselines_are_reproduced(name, model, contenders):
    question, ours_by_name = contenders[name]
    expected = QUESTIONS[name]
    (row,) = [r for r in expected["rows"] if (r["library"], r["name"]) == ("mmrec_tf", model)]
    evaluation, _, _ = protocol.measure(ours_by_name[model], row["options"], question)
    assert len(evaluation.users) == expected["users"]
    assert evaluation.n_candidates == expected["candidates"]
    summary = evaluation.summary(seed=RESULTS["seed"])
    for metric, values in row["test"].items():
        # Another processor may round scores differently, and so swap two items that are close.
        assert summary.loc[metric].to_dict() == pytest.approx(values, abs=5e-4), metric


def test_our_grids_are_those_of_the_results(contenders):
    for name, (_, ours_by_name) in contenders.items():
        for row in QUESTIONS[name]["rows"]:
            if row["library"] == "mmrec_tf":
                tried = sorted(map(json.dumps, (setting["options"] for setting in row["grid"])))
                assert tried == sorted(map(json.dumps, ours_by_name[row["name"]].grid))
