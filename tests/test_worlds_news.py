import numpy as np
import pandas as pd
import pytest

import mmrec_tf as mm
from mmrec_tf.datasets.worlds.news import (
    PAGES,
    load_news,
    load_news_impressions,
    load_news_truth,
)
from tests.worlds import assert_out_of_reach, bad_sizes, checksum, linked

pytestmark = pytest.mark.usefixtures("empty_cache")
SMALL = {"n_items": 600, "n_users": 150, "seed": 1}
SHA256 = "5b05b92ad9ce870210846b287b4650a9dd040c0a68c60bbd990a6625891b1b50"
DEFAULT_SHA256 = "6775b4c4edb94d8c59823c1d531298fbe80e35c70ef1809de630aa2532dc9af0"
START, HOUR, DAY = 1_709_510_400, 3600, 86_400


@pytest.fixture(scope="module")
def paper():
    return load_news(**SMALL)


@pytest.fixture(scope="module")
def truth():
    return load_news_truth(**SMALL)


@pytest.fixture(scope="module")
def shown():
    return load_news_impressions(**SMALL)


def pages(table):
    """Return the visits, and the lists that they were shown."""
    visits = table.groupby("visit", sort=False)[["user", "timestamp"]].first()
    lists = table.pivot(index="visit", columns="position", values="item")
    return visits, lists.loc[visits.index].fillna(-1).to_numpy(np.int64)


def test_bytes(paper):
    assert checksum(paper, modality="image") == SHA256


def test_bytes_of_the_default_paper():
    assert checksum(load_news()) == DEFAULT_SHA256


def test_paper_as_told(paper, shown):
    assert paper.n_items == 600
    assert paper.users["registered"].sum() == 150
    assert paper.users["registered"][:150].all()
    assert list(paper.items) == ["title", "published"]
    assert paper.items["published"].is_monotonic_increasing
    assert paper.items["published"].between(START - DAY, START + 14 * DAY).all()
    assert list(paper.modalities) == ["text", "image"]
    text, title = paper.modalities["text"][5], paper.items["title"].iloc[5]
    assert text.startswith(f"{title}. ")
    session = shown["visit"] // PAGES
    # Who is anonymous has one session; two thirds of the sessions are those of registered readers.
    of = shown.assign(session=session).groupby("user")["session"].nunique()
    assert (of[150:] == 1).all()
    assert 2 <= of[:150].min() < of[:150].max() <= 14
    assert of[:150].sum() // 2 == len(of) - 150
    assert shown.groupby(session)["user"].nunique().eq(1).all()
    assert shown.groupby(session)["visit"].nunique().max() == PAGES
    assert not shown.assign(session=session).duplicated(["session", "item"]).any()


def test_the_front_page_is_young_and_sittings_are_short(paper, shown):
    age = shown["timestamp"] - paper.items["published"].to_numpy()[shown["item"]]
    assert age.min() >= 0
    assert age.max() < 36 * HOUR + 3 * 180
    # The editor prefers the new: a lot by chance among 36 hours would have a median near 18.
    assert age.median() < 12 * HOUR
    assert shown["timestamp"].is_monotonic_increasing
    span = shown.groupby(shown["visit"] // PAGES)["timestamp"].agg(lambda t: t.max() - t.min())
    assert span.max() < 3 * 180
    log = paper.interactions
    assert (log["timestamp"] >= paper.items["published"].to_numpy()[log["item"]]).all()
    assert (log["timestamp"] >= START).all()


def test_the_log_is_what_readers_do_with_what_they_are_shown(paper, truth, shown):
    visits, lists = pages(shown)
    picked = truth.respond(visits, lists)
    row, column = np.nonzero(picked)
    log = paper.interactions
    np.testing.assert_array_equal(log["user"], visits["user"].to_numpy()[row])
    np.testing.assert_array_equal(log["item"], lists[row, column])
    np.testing.assert_array_equal(log["timestamp"], visits["timestamp"].to_numpy()[row])
    assert len(log) == shown["picked"].sum()


def test_utility_by_hand(truth):
    """Of one visit, for every article."""
    user, when = 7, START + 5 * DAY + 7 * HOUR
    visit = pd.DataFrame({"user": [user], "timestamp": [when]}, index=[4 * 9 + 1])
    utility = truth.utility(visit, np.arange(-1, 600)[None])[0]
    assert utility[0] == -np.inf
    (intent,) = truth.intents(visit)
    attributes, seen = truth.catalog.attributes, set()
    for item, value in enumerate(utility[1:]):
        age = (when - truth.published[item]) / HOUR
        if age < 0:
            assert value == -np.inf
            continue
        codes = {name: attributes[name].cat.codes.iloc[item] for name in attributes}
        taste = sum(truth.catalog.tastes[name][user, code] for name, code in codes.items())
        bonus = 3.0 * (codes["topic"] == intent)
        news = truth.catalog.popularity[item]
        assert value == pytest.approx(taste + bonus + news - 4 * age / (age + 6) - 2)
        seen.add(bonus)
    assert seen == {0, 3}


def test_a_session_has_one_intent_and_a_reader_several(truth, shown):
    visits, _ = pages(shown)
    visits = visits[visits["timestamp"] // DAY == (visits["timestamp"] + 600) // DAY]
    intents = pd.Series(truth.intents(visits), visits.index)
    assert intents.groupby(visits.index // PAGES).nunique().eq(1).all()
    own = (truth.interests[visits["user"]] == intents.to_numpy()[:, None]).any(axis=1)
    # Of the topics of the day, 0.3 of the sessions, one in four is the reader's own by chance.
    assert own.mean() == pytest.approx(0.7 + 0.3 * 0.25, abs=0.05)
    today = visits["timestamp"].to_numpy() // DAY
    for day in np.unique(today):
        others = intents[(today == day) & ~own]
        assert others.nunique() <= 1
    assert intents[~own].nunique() > 4
    # Interests are what a reader likes most, on average.
    tastes = truth.catalog.tastes["topic"]
    liked = np.take_along_axis(tastes, truth.interests, axis=1).mean()
    assert liked - tastes.mean() > 0.8


def test_texts_show_topic_and_angle_alone(paper, truth):
    texts = pd.Series(paper.modalities["text"][np.arange(600)])
    titles, leads = zip(*(text.split(". ", 1) for text in texts), strict=True)
    topic, angle, colour = (truth.catalog.attributes[n].to_numpy() for n in
                            ("topic", "angle", "colour"))  # fmt: skip
    for part, tells, hides in ((titles, topic, angle), (leads, angle, topic)):
        words = pd.Series(part).str.replace(r"Lisbon|Oslo|Lyon|Kyoto|Quito|Accra|Turin|Perth"
                                            r"|Gdansk|Leeds", "", regex=True)  # fmt: skip
        assert pd.Series(tells).groupby(words).nunique().eq(1).all()
        table = pd.crosstab(tells, hides)
        assert (table > 0).mean().mean() > 0.9
        assert pd.crosstab(tells, colour).gt(0).mean().mean() > 0.8


def test_oracle_above_popularity_above_chance(truth, shown):
    late = shown["timestamp"] >= START + 11 * DAY
    visits, _ = pages(shown[late])
    now = visits["timestamp"].to_numpy()[:, None]
    alive = (truth.published <= now) & (truth.published > now - 36 * HOUR)
    picks = shown[shown["picked"]]
    # Counted up to two hours before, as a site could.
    counts = np.zeros(alive.shape)
    for hour in np.unique(now // HOUR):
        past = picks["item"][picks["timestamp"] < hour * HOUR]
        counts[(now // HOUR == hour)[:, 0]] = np.bincount(past, minlength=600)
    opened = {}
    everything = np.tile(np.arange(600), (len(visits), 1))
    for name, scores in {
        "oracle": truth.utility(visits, everything),
        "popularity": counts,
        "random": np.random.default_rng(0).random(alive.shape),
    }.items():
        lists, _ = mm.top_k(np.where(alive, scores, -np.inf), 10)
        opened[name] = truth.respond(visits, lists).sum(axis=1).mean()
    assert opened["oracle"] > 2 * opened["popularity"] > 2.4 * opened["random"] > 0


def test_columns_do_not_tell_what_readers_want(truth, paper):
    rank = np.arange(600)
    hidden = truth.catalog

    assert linked(rank, hidden.popularity) < 4
    lengths = paper.items["title"].str.len()
    assert linked(lengths, hidden.popularity) < 4
    for name in hidden.attributes:
        assert linked(rank, hidden.attributes[name].cat.codes) < 4
    registered = paper.users["registered"].to_numpy().astype(float)
    for taste in hidden.tastes.values():
        assert linked(registered, taste[:, 0]) < 4


def test_truth_is_out_of_reach_of_a_data_set(paper, truth):
    assert_out_of_reach(paper, truth, truth.interests)


@pytest.mark.parametrize("load", [load_news, load_news_truth, load_news_impressions])
@pytest.mark.parametrize(("arguments", "error", "message"), bad_sizes(200, 1))
def test_wrong_arguments_are_named(load, arguments, error, message):
    with pytest.raises(error, match=message):
        load(**SMALL | arguments)


def test_wrong_lists_are_named(truth):
    visits = pd.DataFrame({"user": [1, 2], "timestamp": START + DAY})
    with pytest.raises(ValueError, match=r"`slates` of shape \(2, size\). Received: \(1, 3\)"):
        truth.utility(visits, np.array([[1, 2, 3]]))
    with pytest.raises(ValueError, match="item 4 twice in list 0"):
        truth.respond(visits[:1], np.array([[4, 4]]))
    assert repr(truth) == f"NewsTruth({len(truth.interests):,} users, 600 articles)"


def test_numpy_integers_will_do():
    few = load_news(n_items=np.int64(200), n_users=np.int32(9), seed=np.uint8(1))
    assert (few.n_items, few.users["registered"].sum()) == (200, 9)
