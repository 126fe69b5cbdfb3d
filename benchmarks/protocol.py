"""Two questions about MovieLens-100K, and how every contender is tuned, trained and tested."""

import itertools
import time
import timeit
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mmrec_tf import Dataset
from mmrec_tf.evaluation import evaluate
from mmrec_tf.splits import Split, item_cold_start_split, per_user_temporal_split

SEED = 0
K = (10, 20)
CHOSEN_BY = "ndcg@20"


@dataclass(frozen=True, eq=False)
class Question:
    """A split, and what is ranked in it.

    Args:
        name: "warm" or "cold".
        dataset: `Dataset`.
        split: `Split` of it.
        candidates: function from a part of the split to the items that are ranked, None for all.
        reference: library and name of the contender that the others are compared with.
    """

    name: str
    dataset: Dataset
    split: Split
    candidates: Callable[[pd.DataFrame], np.ndarray | None]
    reference: tuple[str, str]

    def evaluate(self, model, part, seen):
        """Return the `Evaluation` of a fitted model on a part of the split."""
        return evaluate(
            model.score,
            self.dataset,
            part,
            seen=seen,
            candidates=self.candidates(part),
            k=K,
            seed=SEED,
        )


@dataclass(frozen=True)
class Contender:
    """A model of a library and the settings to choose from.

    Args:
        name: what the tables call it.
        library: distribution that it comes from.
        create: function from one setting's options to a model with `fit(dataset, interactions)`
            and `score(users)`, as the baselines have.
        grid: dicts of options.
    """

    name: str
    library: str
    create: Callable[..., Any]
    grid: Sequence[dict]


def grid(**axes):
    """Return all combinations of the options' values, a list of dicts."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def warm_question(dataset):
    """Ask which films a user rated last, of all that the user had not rated before."""
    split = per_user_temporal_split(dataset)
    return Question("warm", dataset, split, lambda part: None, ("mmrec_tf", "EASE"))


def cold_question(dataset):
    """Ask which of the films that nobody had rated a user rated."""
    split = item_cold_start_split(dataset, seed=SEED)
    reference = ("mmrec_tf", "ridge: titles, genres, years")
    return Question("cold", dataset, split, lambda part: np.unique(part["item"]), reference)


def tune(contender, question):
    """Return the grid as dicts of `options` and `validation`, the score that decides; best first.

    Every setting learns from train and is measured on validation.
    """
    split, tried = question.split, []
    for options in contender.grid:
        model = contender.create(**options).fit(question.dataset, split.train)
        evaluation = question.evaluate(model, split.validation, split.train)
        tried.append(
            {"options": options, "validation": float(evaluation.per_user[CHOSEN_BY].mean())}
        )
    return sorted(tried, key=lambda setting: -setting["validation"])


def measure(contender, options, question):
    """Train on train and validation with the options chosen, and evaluate on test.

    Returns:
        `Evaluation`, and the seconds of processor time of the fastest of three trainings.
    """
    known = question.split.train_and_validation
    model = contender.create(**options)
    # The processor's time, on one thread the same as a clock's, but for what else the machine does.
    seconds = min(
        timeit.repeat(
            lambda: model.fit(question.dataset, known), timer=time.process_time, number=1, repeat=3
        )
    )
    return question.evaluate(model, question.split.test, known), seconds
