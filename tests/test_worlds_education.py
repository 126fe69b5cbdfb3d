import numpy as np
import pandas as pd
import pytest

from mmrec_tf.datasets.worlds import education
from mmrec_tf.datasets.worlds.education import (
    PREREQUISITES,
    load_education,
    load_education_truth,
)
from tests.worlds import assert_out_of_reach, bad_sizes, checksum, linked

pytestmark = pytest.mark.usefixtures("empty_cache")
SMALL = {"n_items": 120, "n_users": 200, "seed": 1}
SHA256 = "cf923bfffc7fd10a88ac4b5d6cc8d72503b1dc007a446caa11305f9de7457a52"
NAMES = list(PREREQUISITES)


@pytest.fixture(scope="module")
def school():
    return load_education(**SMALL)


@pytest.fixture(scope="module")
def truth():
    return load_education_truth(**SMALL)


@pytest.fixture(scope="module")
def year():
    return education._world(**SMALL)[1]


@pytest.fixture(scope="module")
def whole():
    return load_education(), load_education_truth()


def visit(*users, number=10**6):
    return pd.DataFrame({"user": users, "timestamp": 0}, index=number + np.arange(len(users)))


def soft(x):
    return x / (1 + abs(x))


def test_bytes(school):
    assert checksum(school, modality="video") == SHA256


def test_school_as_told(school):
    assert (school.n_items, school.n_users) == (120, 200)
    assert list(school.items) == ["level", "skill"]
    assert list(school.users) == ["school", "joined"]
    assert list(school.modalities) == ["text", "video"]
    assert school.modalities["video"].shape == (8, 32, 32, 3)
    log = school.interactions
    assert set(log["rating"]) == {0.0, 1.0}
    assert set(school.items["level"]) == {1, 2, 3, 4, 5}
    assert not log.duplicated(["user", "item"]).any()
    # One exercise a visit, and no visit before the learner is there.
    assert not log.duplicated(["user", "timestamp"]).any()
    assert (log["timestamp"] >= school.users["joined"].to_numpy()[log["user"]]).all()


def test_skills_build_upon_earlier_ones():
    for name, needed in PREREQUISITES.items():
        assert all(NAMES.index(other) < NAMES.index(name) for other in needed)
    depth = dict(zip(NAMES, education._depth(), strict=True))
    assert depth["counting"] == 0
    assert depth["percentages"] == 1 + depth["decimals"] == 2 + depth["fractions"] == 6


def test_a_larger_world_has_the_same_exercises_and_learners(school, truth):
    larger = load_education(n_items=150, n_users=250, seed=1)
    more = load_education_truth(n_items=150, n_users=250, seed=1)
    pd.testing.assert_frame_equal(larger.items[:120], school.items)
    pd.testing.assert_frame_equal(larger.users[:200], school.users)
    np.testing.assert_array_equal(more.start[:200], truth.start)
    np.testing.assert_array_equal(more.speed[:200], truth.speed)
    np.testing.assert_array_equal(more.difficulty[:120], truth.difficulty)
    for name in ("motion", "speed"):
        np.testing.assert_array_equal(more.catalog.tastes[name][:200], truth.catalog.tastes[name])
    for name in ("text", "video"):
        np.testing.assert_array_equal(
            larger.modalities[name][[5, 119]], school.modalities[name][[5, 119]]
        )


def test_utility_and_success_by_hand(truth):
    user, everything = 7, np.arange(120)
    mastery = truth.now[[user]]
    utility = truth.utility(visit(user), everything[None], mastery)[0]
    success = truth.success([user], everything[None], mastery)[0]
    for item in everything:
        row = truth.catalog.attributes.iloc[item]
        lead = mastery[0, NAMES.index(row["skill"])] - truth.difficulty[item]
        taste = truth.catalog.popularity[item]
        for name in ("motion", "speed"):
            code = truth.catalog.attributes[name].cat.codes.iloc[item]
            taste += truth.catalog.tastes[name][user, code]
        assert utility[item] == pytest.approx(taste + 2 * soft(2 * lead) - 1.5)
        assert success[item] == pytest.approx(0.5 + 0.5 * soft(2 * lead))
    assert truth.utility(visit(user), np.array([[-1, 3]]), mastery)[0, 0] == -np.inf
    assert truth.success([user], [4], mastery) == success[4]


def test_practice_by_hand(truth):
    user = 7
    for item in range(40):
        skill = truth.catalog.attributes["skill"].iloc[item]
        mastery = truth.start[[user]]
        above = truth.difficulty[item] - mastery[0, NAMES.index(skill)]
        ready = [
            0.5 + 0.5 * soft(4 * (mastery[0, NAMES.index(other)] - 2.5))
            for other in PREREQUISITES[skill]
        ]
        expected = truth.speed[user] / (1 + ((above - 0.25) / 0.7) ** 2) * min(ready, default=1)
        after = truth.practise([user], [item], mastery)
        change = after - truth.start[[user]]
        assert change[0, NAMES.index(skill)] == pytest.approx(expected)
        assert np.count_nonzero(change) == 1
        each = truth.gain([user], np.arange(40)[None], mastery)
        assert each[0, item] == pytest.approx(expected)


def test_practice_helps_most_a_little_above_the_mastery_and_with_prerequisites(truth):
    item = int(np.flatnonzero(truth.skills == NAMES.index("fractions"))[0])
    own = NAMES.index("fractions")
    at = np.linspace(-3, 3, 121)
    mastery = np.full((121, len(NAMES)), 4.0)
    mastery[:, own] = truth.difficulty[item] - at  # the exercise is so far above
    gain = truth.gain(np.zeros(121, int), np.full(121, item), mastery)
    assert at[gain.argmax()] == pytest.approx(0.25)
    assert gain.max() > 4 * gain[[0, -1]].max()
    mastery[:, NAMES.index("division")] = 1.0
    without = truth.gain(np.zeros(121, int), np.full(121, item), mastery)
    np.testing.assert_array_less(without, gain / 4)


def test_the_log_is_what_learners_do_with_what_they_are_shown(school, truth, year):
    """Each learner's year again, visit by visit, with the truth's own functions alone."""
    visits, slates = year["visits"], year["slates"]
    expected = []
    for user in range(0, 200, 9):
        mastery = truth.start[[user]].copy()
        for number in np.flatnonzero(visits["user"] == user):
            here = visits.iloc[[number]]
            np.testing.assert_array_equal(year["before"][number], mastery[0])
            picked = truth.respond(here, slates[[number]], mastery)
            assert picked.sum() <= 1
            if picked.any():
                item = slates[[number]][picked]
                right = truth.answer(here, item, mastery)
                expected.append((user, item[0], here["timestamp"].iloc[0], right[0]))
                mastery = truth.practise([user], item, mastery)
        np.testing.assert_array_equal(truth.now[user], mastery[0])
    log = school.interactions
    log = log[log["user"] % 9 == 0].sort_values(["user", "timestamp"], kind="stable")
    np.testing.assert_array_equal(expected, log[["user", "item", "timestamp", "rating"]])


def test_answers_are_right_as_often_as_told(truth):
    n = 20_000
    people = np.arange(n) % 200
    items = np.arange(n) % 119
    expected = truth.success(people, items, truth.now[people])
    right = truth.answer(visit(*people), items, truth.now[people])
    for part in np.array_split(np.argsort(expected), 8):
        sure = 4 * np.sqrt(0.25 / len(part))
        assert right[part].mean() == pytest.approx(expected[part].mean(), abs=sure)


def test_class_goes_through_the_skills(year, truth):
    visits, slates = year["visits"], year["slates"]
    when = visits["timestamp"].to_numpy()
    unit = (when - education.START) * 18 // (education._END - education.START)
    there = truth.skills[slates] == unit[:, None]
    assert 0.15 < there.mean() < 0.6  # the chance is one in eighteen
    assert unit.min() == 0
    assert unit.max() == 17


def test_oracle_above_popularity_above_chance(whole):
    school, truth = whole
    log = school.interactions
    people = np.arange(school.n_users)
    everything = np.tile(np.arange(school.n_items), (len(people), 1))
    mastery = truth.now
    counts = np.bincount(log["item"], minlength=school.n_items)
    picks, gains = {}, {}
    for name, scores in {
        "likes": truth.utility(visit(*people), everything, mastery),
        "gain": truth.gain(people, everything, mastery),
        "popularity": np.tile(counts, (len(people), 1)),
        "random": np.random.default_rng(0).random(everything.shape),
    }.items():
        lists = np.argsort(-scores, axis=1, kind="stable")[:, :1]
        picks[name] = truth.respond(visit(*people), lists, mastery).mean()
        gains[name] = truth.gain(people, lists, mastery).mean()
    assert picks["likes"] > 2 * picks["popularity"]
    assert picks["likes"] > 2 * picks["random"]
    assert gains["gain"] > 3 * gains["random"] > 3 * gains["popularity"]
    # What is liked is no harder to find in Southgate, but little of it is worth trying.
    assert picks["gain"] < picks["random"] < picks["likes"]


def test_columns_tell_what_the_docstring_says_and_no_more(whole):
    school, truth = whole
    noted = (school.items["skill"] != "").to_numpy()
    assert 0.25 < noted.mean() < 0.4
    names = np.array(NAMES)[truth.skills]
    assert (names[noted] == school.items["skill"][noted]).all()
    assert 0.7 < np.corrcoef(school.items["level"], truth.difficulty)[0, 1] < 0.95

    south = (school.users["school"] == "Southgate").to_numpy()
    assert 0.4 < south.mean() < 0.6
    apart = truth.start[~south].mean() - truth.start[south].mean()
    assert apart == pytest.approx(1, abs=0.15)
    counts = np.bincount(school.interactions["user"], minlength=school.n_users)
    assert 1.6 < counts[~south].mean() / counts[south].mean() < 2.6
    assert linked(south, truth.speed) < 4
    joined = school.users["joined"].rank()
    for hidden in (truth.speed, truth.start.mean(axis=1)):
        assert linked(joined, hidden) < 4
    for name in ("motion", "speed"):
        assert linked(school.items["level"], truth.catalog.attributes[name].cat.codes) < 4
        for taste in truth.catalog.tastes[name].T:
            assert linked(south, taste) < 4
    assert linked(school.items["level"], truth.skills) < 4
    assert linked(noted, truth.skills) < 4
    assert linked(noted, truth.difficulty) < 4
    # Texts tell the skill, not how difficult an exercise is.
    texts = school.modalities["text"][np.arange(600)]
    assert linked([len(text) for text in texts], truth.difficulty) < 4


def test_truth_is_out_of_reach_of_a_data_set(school, truth):
    assert_out_of_reach(school, truth, truth.start, truth.now, truth.speed, truth.difficulty)


@pytest.mark.parametrize("load", [load_education, load_education_truth])
@pytest.mark.parametrize(("arguments", "error", "message"), bad_sizes(50, 1))
def test_wrong_arguments_are_named(load, arguments, error, message):
    with pytest.raises(error, match=message):
        load(**SMALL | arguments)


def test_wrong_lists_and_mastery_are_named(truth):
    two = truth.now[[1, 2]]
    with pytest.raises(ValueError, match=r"`slates` of shape \(2, size\). Received: \(1, 3\)"):
        truth.utility(visit(1, 2), np.array([[1, 2, 3]]), two)
    with pytest.raises(ValueError, match=r"`mastery` of shape \(1, 18\).*Received: \(2, 18\)"):
        truth.success([1], [3], two)
    with pytest.raises(ValueError, match="item 4 twice in list 0"):
        truth.respond(visit(1), np.array([[4, 4]]), truth.now[[1]])


def test_one_learner_and_numpy_integers_will_do():
    school = load_education(n_items=np.int64(60), n_users=np.int32(1), seed=np.uint8(1))
    assert (school.n_items, school.n_users) == (60, 1)
    truth = load_education_truth(n_items=60, n_users=1, seed=1)
    assert truth.practise(np.arange(0), np.empty((0, 1), int), truth.now[:0]).shape == (0, 18)
