import numpy as np
import pytest

import mmrec_tf as mm
from mmrec_tf.recommender import TwoTowerRecommender
from mmrec_tf.sequences import histories

OPTIONS = {"dim": 8, "history_length": 10, "n_targets": 5, "batch_size": 32}


@pytest.fixture(scope="module")
def shop():
    return mm.load_catalog(n_items=60, n_users=120)


@pytest.fixture(scope="module")
def split(shop):
    return mm.item_cold_start_split(shop, test=0.2, validation=0, seed=0)


@pytest.fixture(scope="module")
def content(shop):
    return {"truth": mm.load_catalog_truth(n_items=60, n_users=120).features()}


def test_scores_are_those_of_the_model_for_the_histories_it_was_fitted_with(shop, split, content):
    recommender = TwoTowerRecommender(content, passes=2, **OPTIONS).fit(shop, split.train)
    model = recommender.model
    users = np.array([7, 3, 3])
    history = histories(shop, split.train, length=10)[users]
    right = model.predict({"history": history}, verbose=0) @ model.candidate_vectors().T
    np.testing.assert_allclose(recommender.score(users), right, rtol=1e-5, atol=1e-6)
    assert model.query_tower.dim == 8
    assert model.history_content == ("truth",)
    counts = np.bincount(split.train["item"], minlength=60)
    np.testing.assert_array_equal(model.counts, counts)
    # A second training begins anew, and ends as the first did.
    again = TwoTowerRecommender(content, passes=2, **OPTIONS).fit(shop, split.train)
    np.testing.assert_array_equal(again.score(users), recommender.score(users))
    other = TwoTowerRecommender(content, passes=2, seed=1, **OPTIONS).fit(shop, split.train)
    assert (other.score(users) != recommender.score(users)).any()


def test_content_tells_new_items_apart_and_nothing_else_does():
    size = {"n_items": 300, "n_users": 900}
    shop, features = mm.load_catalog(**size), mm.load_catalog_truth(**size).features()
    split = mm.item_cold_start_split(shop, test=0.3, validation=0, seed=0)
    new = np.unique(split.test["item"])
    without = TwoTowerRecommender(passes=1, **OPTIONS).fit(shop, split.train)
    assert np.ptp(without.score(np.arange(5))[:, new], axis=1).max() == 0
    options = OPTIONS | {"dim": 32, "half_life": 1e5, "dropout": 0.2, "learning_rate": 0.01}
    known = TwoTowerRecommender({"truth": features / 3}, passes=30, **options)
    known.fit(shop, split.train)

    def recall(model):
        result = mm.evaluate(
            model.score, shop, split.test, seen=split.train, candidates=new, k=(10,), seed=0
        )
        return result.per_user["recall@10"]

    gain = mm.paired_bootstrap(recall(known), recall(mm.Random().fit(shop, split.train)))
    assert gain.low > 0.05


def test_what_is_wrong_is_named(shop, split):
    with pytest.raises(RuntimeError, match="Call `fit` first"):
        TwoTowerRecommender().score(np.arange(2))
    with pytest.raises(ValueError, match="`short` with 60 rows"):
        TwoTowerRecommender({"short": np.ones((59, 2))}, **OPTIONS).fit(shop, split.train)
    with pytest.raises(ValueError, match="`batch_size` = 500"):
        TwoTowerRecommender(batch_size=500).fit(shop, split.train)
