"""Two questions about MovieLens-100K, and how every contender is tuned, trained and tested."""

import dataclasses
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
        seeds: what `create` gets as `seed`, one after the other; None where it takes none. Scores
            are means over them.
    """

    name: str
    library: str
    create: Callable[..., Any]
    grid: Sequence[dict]
    seeds: Sequence[int | None] = (None,)

    def models(self, options):
        """Yield a model for each seed."""
        for seed in self.seeds:
            yield self.create(**options, **({} if seed is None else {"seed": seed}))


def grid(**axes):
    """Return all combinations of the options' values, a list of dicts."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def warm_question(dataset):
    """Ask which films a user rated last, of all that the user had not rated before."""
    split = per_user_temporal_split(dataset)
    return Question("warm", dataset, split, lambda part: None, ("mmrec_tf", "ALS"))


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
        scores = [
            question.evaluate(
                model.fit(question.dataset, split.train), split.validation, split.train
            ).per_user[CHOSEN_BY]
            for model in contender.models(options)
        ]
        tried.append({"options": options, "validation": float(np.mean(scores))})
    return sorted(tried, key=lambda setting: -setting["validation"])


def measure(contender, options, question):
    """Train on train and validation with the options chosen, and evaluate on test.

    Returns:
        `Evaluation`, of each user the mean over the seeds; a list of the mean of `CHOSEN_BY` of
        each seed; and the seconds of processor time of the fastest of three trainings.
    """
    known = question.split.train_and_validation
    evaluations, seconds = [], []
    for model in contender.models(options):
        # The processor's time, on one thread the same as a clock's, but for what else the machine
        # does.
        repeats = 3 if len(contender.seeds) == 1 else 1
        seconds += timeit.repeat(
            lambda model=model: model.fit(question.dataset, known),
            timer=time.process_time,
            number=1,
            repeat=repeats,
        )
        evaluations.append(question.evaluate(model, question.split.test, known))
    per_user = sum(evaluation.per_user for evaluation in evaluations) / len(evaluations)
    mean = dataclasses.replace(evaluations[0], per_user=per_user)
    by_seed = [float(evaluation.per_user[CHOSEN_BY].mean()) for evaluation in evaluations]
    return mean, by_seed, min(seconds)
