"""The two-tower model as a contender."""

import functools

from benchmarks.protocol import Contender, grid
from mmrec_tf.recommender import TwoTowerRecommender

SEEDS = (0, 1, 2, 3, 4)


def warm_two_tower():
    """Return the contender for items with a past: it has no content."""
    options = grid(dim=[64, 128], passes=[80, 120])
    return Contender("two-tower", "mmrec_tf", TwoTowerRecommender, options, SEEDS)


def cold_two_tower(facts, texts):
    """Return the contender for items without a past; see `ours.cold_baselines`."""
    # The order of a history says nothing here: half of the films that it would tell are gone.
    create = functools.partial(_cold, facts, texts)
    options = grid(titles=[0.3, 1.0, 3.0], passes=[30, 50])
    return Contender("two-tower: titles, genres, years", "mmrec_tf", create, options, SEEDS)


def _cold(facts, texts, *, titles, passes, seed):
    content = {"facts": facts, "titles": titles * texts}
    return TwoTowerRecommender(content, passes=passes, half_life=1e5, seed=seed)
