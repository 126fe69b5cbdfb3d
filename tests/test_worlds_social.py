import numpy as np
import pandas as pd
import pytest

import mmrec_tf as mm
from mmrec_tf.datasets.worlds import social
from mmrec_tf.datasets.worlds.social import (
    load_follows,
    load_social,
    load_social_truth,
)
from tests.worlds import assert_out_of_reach, checksum, linked

pytestmark = pytest.mark.usefixtures("empty_cache")
SMALL = {"n_items": 600, "n_users": 300, "seed": 1}
PEOPLE = {"n_users": 300, "seed": 1}
SHA256 = "11fffbcddd609edfff8f9872ca5ee4d2586b9b57cf329476a2f6ae32e3e06d62"
FOLLOWS_SHA256 = "d677a9c9d1c4aac42fe62ada04c8cfe4594f98966333ef3edf9cc70d321b891c"
DEFAULT_SHA256 = "59e513caee25281da3bef20e517ebad179013022844b3ae71b4dfe13a19fac5b"
START, DAY = 1_704_067_200, 86_400


@pytest.fixture(scope="module")
def posts():
    return load_social(**SMALL)


@pytest.fixture(scope="module")
def follows():
    return load_follows(**PEOPLE)


@pytest.fixture(scope="module")
def truth():
    return load_social_truth(**SMALL)


def test_bytes(posts, follows):
    assert checksum(posts, modality="image") == SHA256
    assert checksum(follows) == FOLLOWS_SHA256


def test_bytes_of_the_default_network():
    assert checksum(load_social()) == DEFAULT_SHA256


def test_network_as_told(posts, follows):
    assert (posts.n_items, posts.n_users, follows.n_items) == (600, 300, 300)
    assert list(posts.users) == list(follows.items) == ["joined"]
    assert list(posts.items) == ["author", "created"]
    assert posts.items["created"].is_monotonic_increasing
    assert posts.users["joined"].is_monotonic_increasing
    assert posts.users.index.equals(follows.users.index)
    assert (posts.users.index == follows.items.index).all()
    assert (posts.items["author"] % 5 == 0).all()
    assert (posts.users["joined"] < START).sum() == 120
    assert list(posts.modalities) == ["text", "image"]
    assert list(follows.modalities) == ["text"]
    for dataset in (posts, follows):
        assert not dataset.interactions.duplicated(["user", "item"]).any()


def test_nothing_happens_before_its_time(posts, follows):
    joined = posts.users["joined"].to_numpy()
    author, created = (posts.items[name].to_numpy() for name in ("author", "created"))
    assert (created >= joined[author]).all()
    likes, edges = posts.interactions, follows.interactions
    age = likes["timestamp"] - created[likes["item"]]
    assert age.between(0, 3 * DAY).all()
    assert (likes["timestamp"] >= joined[likes["user"]]).all()
    assert (edges["timestamp"] >= joined[edges["user"]]).all()
    assert (edges["timestamp"] >= joined[edges["item"]]).all()
    assert (edges["user"] != edges["item"]).all()
    for log in (likes, edges):
        assert log["timestamp"].between(START, START + 60 * DAY - 1).all()
        assert log["timestamp"].is_monotonic_increasing


def test_people_are_the_same_with_other_posts(posts, follows):
    more = load_social_truth(**SMALL | {"n_items": 700})
    pd.testing.assert_frame_equal(
        more.follows, follows.interactions.astype(more.follows.dtypes), check_dtype=False
    )
    np.testing.assert_array_equal(more.joined, posts.users["joined"])


def test_likes_are_what_readers_do_with_their_feeds(posts, truth):
    visits, slates = social._feeds(truth)
    assert not visits.assign(day=visits["timestamp"] // DAY).duplicated(["user", "day"]).any()
    row, column = np.nonzero(truth.respond(visits, slates))
    picked = visits.iloc[row].assign(item=slates[row, column])
    picked = picked.drop_duplicates(["user", "item"])
    for name in ("user", "item", "timestamp"):
        np.testing.assert_array_equal(posts.interactions[name], picked[name])


def test_follows_are_what_people_do_with_those_they_are_shown(truth, monkeypatch):
    shown = []

    def record(visits, slates, picked):
        shown.append((visits, slates))
        return table(visits, slates, picked)

    table = social.impressions
    monkeypatch.setattr(social, "impressions", record)
    again = load_social_truth(**SMALL).follows
    pd.testing.assert_frame_equal(again, truth.follows)
    visits = pd.concat([visits for visits, _ in shown])
    slates = np.concatenate([slates for _, slates in shown])
    row, column = np.nonzero(truth.respond_follow(visits, slates))
    np.testing.assert_array_equal(again["user"], visits["user"].to_numpy()[row])
    np.testing.assert_array_equal(again["item"], slates[row, column])
    np.testing.assert_array_equal(again["timestamp"], visits["timestamp"].to_numpy()[row])


def test_utility_by_hand(truth):
    user, when = 7, START + 20 * DAY + 500
    visit = pd.DataFrame({"user": [user], "timestamp": [when]}, index=[9])
    utility = truth.utility(visit, np.arange(-1, 600)[None])[0]
    assert utility[0] == -np.inf
    attributes = truth.catalog.attributes
    for item, value in enumerate(utility[1:]):
        age = (when - truth.created[item]) / DAY
        if age < 0:
            assert value == -np.inf
            continue
        taste = sum(
            truth.catalog.tastes[name][user, attributes[name].cat.codes.iloc[item]]
            for name in ("topic", "colour")
        )
        quality = 0.8 * truth.quality[truth.authors[item]]
        assert value == pytest.approx(taste + quality - 3 * age / (age + 1) - 1.2)


def test_follow_utility_by_hand(truth):
    user, day = truth.follows["user"].mode()[0], 20
    when = START + day * DAY + 500
    visit = pd.DataFrame({"user": [user], "timestamp": [when]}, index=[9])
    utility = truth.follow_utility(visit, np.arange(-1, 300)[None])[0]
    assert utility[0] == -np.inf
    past = truth.follows[truth.follows["timestamp"] < START + day * DAY]
    friends = set(past["item"][past["user"] == user])
    assert friends
    seen = set()
    for other, value in enumerate(utility[1:]):
        if other == user or other in friends or truth.joined[other] > when:
            assert value == -np.inf
            continue
        mutual = past[(past["item"] == other) & past["user"].isin(friends)].shape[0]
        fit = truth.catalog.tastes["topic"][user, truth.interests[other]].sum()
        quality = 0.8 * truth.quality[other]
        assert value == pytest.approx(fit + quality + 2 * mutual / (mutual + 2) - 3)
        seen.add(mutual)
    assert len(seen) > 2
    assert (truth.joined > when).any()


def test_content_shows_what_it_must(posts, follows, truth):
    texts = pd.Series(posts.modalities["text"][np.arange(600)])
    topic = truth.catalog.attributes["topic"].to_numpy()
    heads = texts.str.split(".").str[0]
    assert pd.Series(topic).groupby(heads).nunique().eq(1).all()
    colour = truth.catalog.attributes["colour"].to_numpy()
    assert pd.crosstab(topic, colour).gt(0).mean().mean() > 0.9
    # Nine in ten posts are about one of the author's interests, others by chance.
    codes = truth.catalog.attributes["topic"].cat.codes.to_numpy()
    own = (truth.interests[truth.authors] == codes[:, None]).any(axis=1)
    assert own.mean() == pytest.approx(0.9 + 0.1 * 3 / 12, abs=0.03)
    bios = pd.Series(follows.modalities["text"][np.arange(300)]).str.split(". ", regex=False)
    for sentence in (0, 1):
        first = pd.Series(truth.interests[:, sentence]).groupby(bios.str[sentence])
        assert first.nunique().eq(1).all()
    # The third interest is not in the bio.
    assert pd.Series(truth.interests[:, 2]).groupby(bios.str[0]).nunique().min() > 4


def test_oracle_above_popularity_above_chance(truth, posts, follows):
    cut = START + 46 * DAY
    users = np.flatnonzero(truth.joined < START)
    visits = pd.DataFrame({"user": users, "timestamp": cut}, index=10**6 + users)
    alive = (truth.created <= cut) & (truth.created > cut - 3 * DAY)
    likes, edges = (d.interactions[d.interactions["timestamp"] < cut] for d in (posts, follows))
    fame = np.bincount(truth.authors[likes["item"]], minlength=300)[truth.authors]
    rng = np.random.default_rng(0)
    for utility, respond, there, popular in (
        (truth.utility, truth.respond, alive, fame),
        (
            truth.follow_utility,
            truth.respond_follow,
            truth.joined <= cut,
            np.bincount(edges["item"], minlength=300),
        ),
    ):
        everything = np.tile(np.arange(len(there)), (len(users), 1))
        wanted = utility(visits, everything)
        possible = np.isfinite(wanted) & there
        got = {}
        for name, scores in {
            "oracle": wanted,
            "popularity": np.broadcast_to(popular, wanted.shape),
            "random": rng.random(wanted.shape),
        }.items():
            lists, _ = mm.top_k(np.where(possible, scores, -np.inf), 5)
            got[name] = respond(visits, lists).sum(axis=1).mean()
        assert got["oracle"] > 1.5 * got["popularity"]
        assert got["popularity"] > 1.1 * got["random"] > 0


def test_friends_of_friends_are_followed_more(truth):
    users = np.flatnonzero(truth.joined < START)
    visits = pd.DataFrame({"user": users, "timestamp": START + 40 * DAY}, index=users)
    people = np.tile(np.arange(300), (len(users), 1))
    utility = truth.follow_utility(visits, people)
    _, mutual = truth._friends(users, visits["timestamp"].to_numpy(), people)
    there = np.isfinite(utility)
    assert utility[there & (mutual > 3)].mean() > utility[there & (mutual == 0)].mean() + 1


def test_columns_do_not_tell_what_people_want(truth, posts):
    rank = np.arange(300)
    assert linked(rank, truth.quality) < 4
    assert linked(posts.items["created"], truth.catalog.popularity) < 4
    for taste in truth.catalog.tastes.values():
        assert linked(rank, taste[:, 0]) < 4
    for name in truth.catalog.attributes:
        assert linked(np.arange(600), truth.catalog.attributes[name].cat.codes) < 4


@pytest.mark.parametrize("which", ["posts", "follows"])
def test_truth_is_out_of_reach_of_a_data_set(which, request, truth):
    dataset = request.getfixturevalue(which)
    assert_out_of_reach(dataset, truth, truth.interests, truth.quality)


@pytest.mark.parametrize("load", [load_social, load_social_truth, load_follows])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_users": 99}, ValueError, r"`n_users` in \[100, 10001\). Received: 99"),
        ({"n_users": 10_001}, ValueError, r"`n_users` in \[100, 10001\). Received: 10001"),
        ({"seed": -1}, ValueError, r"`seed` in \[0, 2\*\*31\). Received: -1"),
        ({"n_users": 300.0}, TypeError, r"`n_users` to be an int. Received: 300.0"),
        ({"seed": True}, TypeError, r"`seed` to be an int. Received: True"),
    ],
)
def test_wrong_arguments_are_named(load, arguments, error, message):
    with pytest.raises(error, match=message):
        load(**PEOPLE | arguments)


def test_too_few_posts_are_named():
    with pytest.raises(ValueError, match=r"`n_items` in \[200, 2\*\*31\). Received: 199"):
        load_social(n_items=199)


def test_wrong_lists_are_named(truth):
    visits = pd.DataFrame({"user": [1, 2], "timestamp": START + 30 * DAY})
    for ask in (truth.utility, truth.follow_utility):
        with pytest.raises(ValueError, match=r"`slates` of shape \(2, size\). Received: \(1, 3\)"):
            ask(visits, np.array([[1, 2, 3]]))
    with pytest.raises(ValueError, match="item 4 twice in list 0"):
        truth.respond(visits[:1], np.array([[4, 4]]))
    assert repr(truth) == "SocialTruth(300 users, 600 posts)"


def test_numpy_integers_will_do():
    few = load_social(n_items=np.int64(200), n_users=np.int32(100), seed=np.uint8(1))
    assert (few.n_items, few.n_users) == (200, 100)
