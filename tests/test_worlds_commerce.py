import numpy as np
import pandas as pd
import pytest

import mmrec_tf as mm
from mmrec_tf.datasets.catalog.interactions import DAY, START
from mmrec_tf.datasets.worlds import commerce
from mmrec_tf.datasets.worlds.commerce import (
    load_commerce,
    load_commerce_truth,
    on_sale,
)
from tests.worlds import assert_out_of_reach, bad_sizes, checksum, linked

SMALL = {"n_items": 120, "n_users": 300, "seed": 1}
SHA256 = "cbd7de054066629da79c30efd0ede66e6473c0169f9775b157f72ebdb3a3ae73"
LATER = START + 600 * DAY


@pytest.fixture(scope="module", autouse=True)
def few_pictures(empty_cache):
    """Few pictures, and not those of the whole shop, are drawn for these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commerce, "_PICTURES", 50)
        yield


@pytest.fixture(scope="module")
def shop():
    return load_commerce(**SMALL)


@pytest.fixture(scope="module")
def truth():
    return load_commerce_truth(**SMALL)


def visit(*users, timestamp=LATER):
    return pd.DataFrame({"user": users, "timestamp": timestamp})


def baskets(shop):
    """Return the interactions with the number of their basket and the place in it."""
    log = shop.interactions
    by = log.groupby(["timestamp", "user"], sort=False)
    return log.assign(basket=by.ngroup(), place=by.cumcount())


def test_bytes(shop):
    assert checksum(shop, modality="image") == SHA256


def test_shop_as_told(shop):
    assert (shop.n_items, shop.n_users) == (120, 300)
    assert list(shop.items) == ["title", "category", "price", "released"]
    assert list(shop.users) == ["region", "age", "joined"]
    assert list(shop.modalities) == ["text", "image"]
    log = baskets(shop)
    assert (log["basket"].diff().dropna() >= 0).all()  # a basket's rows stand together
    assert log["place"].max() >= 3
    # Nobody buys two of a category in one trip.
    categories = shop.items["category"].to_numpy()[log["item"]]
    assert not log.assign(category=categories).duplicated(["basket", "category"]).any()


def test_goods_and_customers_are_those_of_the_catalogue(shop, truth):
    catalog = mm.load_catalog(n_items=200, n_users=400, seed=1)
    pd.testing.assert_frame_equal(shop.items, catalog.items[:120])
    pd.testing.assert_frame_equal(shop.users, catalog.users[:300])
    hidden = mm.load_catalog_truth(n_items=200, n_users=400, seed=1)
    for name in ("colour", "pattern", "material", "use"):
        assert truth.catalog.attributes[name].equals(hidden.attributes[name][:120])
        np.testing.assert_array_equal(truth.catalog.tastes[name], hidden.tastes[name][:300])
    for name in ("text", "image"):
        np.testing.assert_array_equal(
            shop.modalities[name][[5, 119]], catalog.modalities[name][[5, 119]]
        )


def test_a_larger_world_has_the_same_goods_customers_and_relations(shop, truth):
    larger = load_commerce(n_items=150, n_users=350, seed=1)
    assert larger.items[:120].equals(shop.items)
    assert larger.users[:300].equals(shop.users)
    more = load_commerce_truth(n_items=150, n_users=350, seed=1)
    np.testing.assert_array_equal(more.levels[:300], truth.levels)
    np.testing.assert_array_equal(more.partners, truth.partners)
    times = np.array([LATER, LATER + 9 * DAY])
    small, large = (on_sale(times, n_items=n, seed=1) for n in (120, 150))
    np.testing.assert_array_equal(large[:, :120], small)


def test_utility_by_hand(shop, truth):
    """Of one visit, for goods of every kind, with and without an anchor."""
    user, anchor = 7, 11
    row = truth.catalog.attributes.iloc
    codes = {name: truth.catalog.attributes[name].cat.codes for name in truth.catalog.attributes}
    there = on_sale(np.array([LATER]), n_items=120, seed=1)[0]
    slate = np.arange(120)
    entering = truth.utility(visit(user), slate[None])[0]
    after = truth.utility(visit(user), slate[None], np.array([anchor]))[0]
    kinds = set()
    for item in slate:
        if not there[item]:
            assert entering[item] == after[item] == -np.inf
            continue
        taste = truth.catalog.popularity[item]
        taste += sum(truth.catalog.tastes[name][user, codes[name].iloc[item]] for name in codes)
        over = max(0.0, shop.items["price"].iloc[item] / truth.levels[user] - 1)
        dear = 5 * over / (1 + over)
        assert entering[item] == pytest.approx(taste - dear - 3.5)
        own, its = truth.categories[anchor], truth.categories[item]
        if own == its:
            assert after[item] == -np.inf
            continue
        goes = 2.0 if truth.partners[own, its] else -4.0
        colour = row[item]["colour"] == row[anchor]["colour"]
        use = row[item]["use"] == row[anchor]["use"]
        goes += 3.0 * colour + 3.0 * use
        kinds.add((goes, over > 0))
        assert after[item] == pytest.approx(0.4 * taste - dear + goes - 3.5)
    assert {goes for goes, _ in kinds} >= {-4, -1, 2, 5}
    assert {dear for _, dear in kinds} == {False, True}


def test_partners(truth):
    assert (truth.partners.sum(axis=1) == 3).all()
    assert not truth.partners.diagonal().any()
    assert (truth.partners != truth.partners.T).any()


def test_the_log_is_what_people_do_with_what_they_are_shown(shop, truth):
    (first, second), anchors = commerce._log(truth, shop.users["joined"].to_numpy())
    rows = []
    for table, asked in ((first, None), (second, anchors)):
        by = table.groupby("visit")
        visits = by[["user", "timestamp"]].first()
        lists = table.pivot(index="visit", columns="position", values="item")
        lists = lists.fillna(-1).astype(int).to_numpy()
        visit, column = np.nonzero(truth.respond(visits, lists, asked))
        rows.append(visits.iloc[visit].assign(item=lists[visit, column]))
    # A category of which something was bought is not shown again in the same trip.
    both = first[first["picked"]].merge(second, on="visit")
    assert (truth.categories[both["item_x"]] != truth.categories[both["item_y"]]).all()
    expected = pd.concat(rows).sort_index(kind="stable")
    log = shop.interactions
    np.testing.assert_array_equal(expected[["user", "item", "timestamp"]], log)
    basket = baskets(shop)
    lead = basket[basket["place"] == 0]["item"]
    np.testing.assert_array_equal(lead, anchors)


def test_nothing_is_bought_before_its_time_or_when_sold_out(shop):
    log = shop.interactions
    assert (log["timestamp"] >= shop.items["released"].to_numpy()[log["item"]]).all()
    assert (log["timestamp"] >= shop.users["joined"].to_numpy()[log["user"]]).all()
    there = on_sale(log["timestamp"].to_numpy(), n_items=120, seed=1)
    assert there[np.arange(len(log)), log["item"]].all()


def test_shelves_are_filled_as_told():
    days = START + np.arange(0, 700, 7) * DAY
    there = on_sale(days, n_items=800)
    released = mm.load_catalog(n_items=800, n_users=1).items["released"].to_numpy()
    assert not there[days[:, None] < released].any()
    share = np.where(days[:, None] >= released, there, np.nan)
    often = np.nanmean(share[:, released < START], axis=0)
    assert 0.55 < often.min() < 0.7  # the best known good is there two weeks in three
    assert often.max() == 1
    # Whole weeks, and the next one is another.
    np.testing.assert_array_equal(on_sale(days + 6 * DAY)[:, released < START],
                                  there[:, released < START])  # fmt: skip
    assert (there[1:] != there[:-1]).mean() > 0.1


def test_what_cannot_be_bought_is_not(truth):
    there = on_sale(np.array([LATER]), n_items=120, seed=1)[0]
    gone = np.flatnonzero(~there)[:10]
    assert not truth.respond(visit(3), gone[None]).any()
    anchor = int(np.flatnonzero(there)[0])
    same = np.flatnonzero(truth.categories == truth.categories[anchor])
    assert not truth.respond(visit(3), same[None], np.array([anchor])).any()
    assert truth.utility(visit(3), np.array([[-1, anchor]]))[0, 0] == -np.inf


def test_one_of_a_category_in_a_list(truth):
    n = 200
    people = visit(*range(n))
    best = np.argsort(-truth.utility(people, np.tile(np.arange(120), (n, 1))), axis=1)[:, :20]
    bought = truth.respond(people, best)
    assert bought.sum() > n
    for row, slate in zip(bought, best, strict=True):
        kinds = truth.categories[slate[row]]
        assert len(set(kinds)) == len(kinds)


def test_the_second_list_has_luck_moods_and_glances_of_its_own(shop, truth, monkeypatch):
    (first, second), anchors = commerce._log(truth, shop.users["joined"].to_numpy())
    # By chance one of ten goods was in the first list too; nor is it that of the same row.
    row = second["visit"].rank(method="dense").astype(int) - 1
    for shown in (second, second.assign(visit=row)):
        assert len(shown.merge(first, on=["visit", "item"])) < 1.5 * len(anchors)
    numbers = []
    monkeypatch.setattr(commerce, "respond", lambda seed, visits, *_, **__: numbers.append(visits))
    people, lists = visit(3, 4, 5), np.array([[1, 2], [1, 2], [1, 2]])
    truth.respond(people, lists)
    truth.respond(people, lists, np.array([7, 7, 7]))
    assert len(np.unique(np.concatenate(numbers))) == 6


def test_oracle_above_popularity_above_chance(shop, truth):
    log = baskets(shop)
    late = log["timestamp"] >= LATER
    test = log[late & (log["place"] == 0)]
    people = test[["user", "timestamp"]].reset_index(drop=True)
    people.index += 10**6
    everything = np.tile(np.arange(120), (len(test), 1))
    there = on_sale(test["timestamp"].to_numpy(), n_items=120, seed=1)
    counts = np.bincount(log["item"][~late], minlength=120)
    bought = {}
    for name, scores in {
        "oracle": truth.utility(people, everything, test["item"].to_numpy()),
        "popularity": np.where(there, counts, -np.inf),
        "random": np.where(there, np.random.default_rng(0).random(there.shape), -np.inf),
    }.items():
        lists, _ = mm.top_k(scores, 10)
        bought[name] = truth.respond(people, lists, test["item"].to_numpy()).sum(axis=1).mean()
    assert bought["oracle"] > 2 * bought["popularity"] > 2.4 * bought["random"] > 0


def test_columns_do_not_tell_what_customers_want(shop, truth):
    """Neither prices nor ages nor categories go with what is hidden, and regions only a little."""
    whole = load_commerce(n_items=800, n_users=4000)
    hidden = load_commerce_truth(n_items=800, n_users=4000)

    for column in ("price", "released"):
        values = whole.items[column].rank().to_numpy()
        assert linked(values, hidden.catalog.popularity) < 4
        for name in hidden.catalog.attributes:
            assert linked(values, hidden.catalog.attributes[name].cat.codes) < 4
    for column in ("age", "joined"):
        assert linked(whole.users[column].rank().to_numpy(), hidden.levels) < 4
    region = pd.factorize(whole.users["region"])[0]
    taste = pd.DataFrame(hidden.catalog.tastes["use"])
    explained = taste.groupby(region).transform("mean").to_numpy().var() / taste.to_numpy().var()
    assert 0.01 < explained < 0.2


def test_truth_is_out_of_reach_of_a_data_set(shop, truth):
    assert_out_of_reach(shop, truth, truth.levels, truth.partners)


@pytest.mark.parametrize("load", [load_commerce, load_commerce_truth])
@pytest.mark.parametrize(("arguments", "error", "message"), bad_sizes(50, 1))
def test_wrong_arguments_are_named(load, arguments, error, message):
    with pytest.raises(error, match=message):
        load(**SMALL | arguments)


def test_wrong_lists_and_anchors_are_named(truth):
    with pytest.raises(ValueError, match=r"`slates` of shape \(2, size\). Received: \(1, 3\)"):
        truth.utility(visit(1, 2), np.array([[1, 2, 3]]))
    with pytest.raises(ValueError, match=r"`anchors` of shape \(1,\). Received: \(2,\)"):
        truth.utility(visit(1), np.array([[1, 2]]), np.array([3, 4]))
    with pytest.raises(ValueError, match="item 4 twice in list 0"):
        truth.respond(visit(1), np.array([[4, 4]]))


def test_numpy_integers_will_do():
    shop = load_commerce(n_items=np.int64(60), n_users=np.int32(9), seed=np.uint8(1))
    assert shop.n_items == 60
