"""A newspaper's front page: articles that are old within hours, and readers who come in sittings.

Articles are published by the hour. A reader's sitting, a session, is one to four pages of a front
page that an editor's rule fills with what is new and important. What a reader wants depends on
lasting interests, on the intent of the session, on how much of an event the article is, and on its
age. A third of the sessions are anonymous: nothing is known of the reader before.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmrec_tf._random import random_bits, random_uniform
from mmrec_tf.datasets.catalog import Attribute, CatalogTruth
from mmrec_tf.datasets.catalog.arithmetic import choice, normal
from mmrec_tf.datasets.catalog.attributes import attribute_table, draw_codes, draw_tastes
from mmrec_tf.datasets.catalog.ids import numbered_ids
from mmrec_tf.datasets.catalog.phrases import Choices
from mmrec_tf.datasets.catalog.sizes import checked_sizes
from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.worlds.behaviour import (
    asked,
    draw_recent_slates,
    draw_visits,
    impressions,
    respond,
)
from mmrec_tf.datasets.worlds.pictures import COLOUR, colour_pictures

__all__ = ["PAGES", "NewsTruth", "load_news", "load_news_impressions", "load_news_truth"]

PAGES = 4  # pages of a session at most; `visit // PAGES` is the session's number

_HOUR, _DAY = 3600, 86_400
_START = 1_709_510_400  # 2024-03-04 00:00 UTC, a Monday
_END = _START + 14 * _DAY
_SHOWN = 10  # articles of a page
_ALIVE = 36 * _HOUR  # An older article is not on the front page.
# How many come in each hour of the day, and when articles are published.
_READERS = (1, 1, 1, 1, 2, 5, 9, 12, 10, 8, 7, 7, 9, 8, 6, 6, 7, 9, 10, 11, 11, 9, 6, 3)
_DESK = (1, 1, 1, 1, 3, 8, 10, 9, 8, 7, 7, 7, 6, 6, 6, 6, 6, 5, 4, 4, 3, 2, 2, 1)

_INTERESTS, _SITTINGS, _PAGES, _PAUSE, _INTENT, _TODAY = 91, 92, 93, 94, 95, 96
_EVENT, _EDITOR, _PUBLISHED, _WORDS, _THING = 97, 98, 99, 100, 101

# What a reader's utility is made of.
_NOISE, _ATTENTION = 1.0, 0.1
_OWN, _TOPIC, _ANGLE, _COLOUR = 1.2, 0.5, 0.6, 0.5
_AIM, _NEWS, _AGE, _OFFSET = 3.0, 0.9, 4.0, -2.0
_STALE = 6 * _HOUR

_TEXTS = {
    "politics": "The prime minister|The opposition|Parliament|The coalition|The foreign office|A "
    "party congress/loses a vote|calls for elections|drops the bill|agrees on a treaty|names a "
    "new minister",
    "economy": "The central bank|The car maker|The steel maker|The stock exchange|The port|A trade "
    "union/surprises the markets|cuts the forecast|talks of a recession|announces job "
    "losses|raises interest rates",
    "football": "The goalkeeper|The striker|The cup holder|The second-division side|The national "
    "team|The new coach/wins on penalties|is out for the season|scores four times|loses the "
    "derby|reaches the final",
    "science": "A telescope|A team of physicists|The particle accelerator|A fossil hunter|The "
    "research ship|A mathematician/finds what theory had foretold|measures it to nine digits|"
    "sees the oldest galaxy|solves a riddle of a century|names a new species",
    "health": "The vaccine|The city hospital|A new therapy|The ministry's study on sleep|The "
    "family doctor|The flu/helps two in three patients|has too few nurses|protects for longer than "
    "thought|worries heart specialists|cuts waiting times for surgery",
    "climate": "The glacier|A heat wave|The wind park|The storm surge|The forest owner|The "
    "emissions report/breaks a record of warming|retreats by a hundred metres|floods the "
    "delta|misses the target for carbon|feeds a million homes",
    "technology": "The chip maker|A start-up for robots|The phone network|An open-source "
    "project|The search engine|A quantum computer/leaks passwords|releases new software|is down "
    "for hours|halves the price of computing|learns to write code",
    "culture": "The opera house|A debut novel|The film festival|The museum|A forgotten painter|"
    "The jazz orchestra/opens to applause|wins the grand prize|returns a stolen canvas|divides "
    "the critics|sells out in an hour",
    "travel": "The night train|The island|A mountain hut|The budget airline|The old pilgrims' "
    "route|The ferry/opens for tourists|adds a stop by the sea|limits its visitors|is worth the "
    "detour|cancels summer flights",
    "food": "The bakery|A chef of three stars|Olive oil|The street market|A vegan butcher|The "
    "lentil stew/is back on the menu|costs twice as much|tastes of smoke and lemon|wins over "
    "gourmets|shares the recipe",
    "crime": "The detective|A jewel thief|The court|The fraud squad|A false doctor|The prosecutor/"
    "makes an arrest|pleads guilty|reopens the murder case|is wanted by the police|hands down "
    "a prison sentence",
    "education": "The village school|The teachers' union|The university|A maths olympiad|The "
    "reading test|The apprentice scheme/scores badly in exams|goes without grades|fights for "
    "classrooms|gets laptops for pupils|draws more students",
}
_LEADS = {
    "report": "What is known so far, from our reporter in {}|Our correspondent in {} was there|"
    "The events of the hour, live from {}",
    "opinion": "A comment from {}: this is a mistake|I disagree with everybody in {}, and here is "
    "why|Our columnist in {} has had enough",
    "interview": '"I did not expect that": a conversation in {}|Twelve questions and answers, '
    'recorded in {}|"Ask me in a year": we spoke with those concerned in {}',
    "guide": "What it means for you, step by step, not only in {}|Seven tips from {} for your "
    "household|How to make the best of it: a guide from {}",
    "analysis": "The figures behind it, charted for {}|Three charts from {} that explain the "
    "trend|A long view from {}: the data of fifty years",
}
_PLACES = ("Lisbon", "Oslo", "Lyon", "Kyoto", "Quito", "Accra", "Turin", "Perth", "Gdansk", "Leeds")

_TOPIC_OF = Attribute("topic", "text", tuple(_TEXTS))
_ANGLE_OF = Attribute("angle", "text", tuple(_LEADS))
_DEFINITIONS = (_TOPIC_OF, _ANGLE_OF, COLOUR)


def load_news(*, n_items=3000, n_users=2000, seed=0):
    """Generate a newspaper's articles, its readers, and what they open in two weeks.

    The same arguments give the same bytes on every machine.

    Args:
        n_items: number of articles, at least 200, in 15 days: the first day is before the log.
        n_users: number of registered readers, at least 1; each has 8 sessions on average.
            There is one anonymous session to two of theirs.
        seed: non-negative int; another seed gives another newspaper.

    Returns:
        `Dataset`. `users` has `registered`: the first `n_users` are registered readers, and each
        of the others is one anonymous session. `items`, in the order of publication, has `title`
        and `published` (seconds since 1970). The modalities are `text`, the title and a lead, and
        `image`. A reader may open an article again in another session.

    Raises:
        TypeError: if an argument is not an int.
        ValueError: if an argument is too small or too large.

    Example:

    >>> paper = load_news(n_items=400, n_users=50)
    >>> paper.modalities["text"][7]
    'The central bank talks of a recession. Our columnist in Perth has had enough.'
    """
    truth = load_news_truth(n_items=n_items, n_users=n_users, seed=seed)
    table = impressions(*_log(truth, n_users))
    n_people, items = len(truth.interests), np.arange(len(truth.published))
    registered = np.arange(n_people) < n_users
    ids = [
        f"reader-{row:05d}" if row < n_users else f"visitor-{row - n_users:05d}"
        for row in range(n_people)
    ]
    users = pd.DataFrame({"registered": registered}, index=pd.Index(ids, name="user_id"))
    seed = truth.seed
    titles, texts = _write(seed, items)
    columns = {"title": titles, "published": truth.published}
    articles = pd.DataFrame(columns, index=_article_ids(len(items)))
    modalities = {
        "text": Modality.from_array(texts),
        "image": colour_pictures("news-v1", seed, _THING, len(items)),
    }
    name = f"Generated newspaper (seed {seed})"
    return Dataset(name, users, articles, table[table["picked"]], modalities)


def load_news_impressions(*, n_items=3000, n_users=2000, seed=0):
    """Return all that the front pages of `load_news` showed, opened or not.

    Returns:
        Data frame with one row an article shown, in the order of time, and the columns `visit`,
        the page, where `visit // PAGES` numbers the sessions; `user`, `item`, `timestamp`;
        `position`, from 0, as it stood on the page; and the bool `picked`.

    Example:

    >>> table = load_news_impressions(n_items=400, n_users=50)
    >>> table[["item", "position", "picked"]].head(2).to_numpy().tolist()
    [[20, 0, False], [10, 1, False]]
    """
    return impressions(*_log(load_news_truth(n_items=n_items, n_users=n_users, seed=seed), n_users))


def load_news_truth(*, n_items=3000, n_users=2000, seed=0):
    """Tell what the newspaper of the same arguments hides; see `load_news`.

    Returns:
        `NewsTruth`, for measuring and for simulated experiments. Nothing of it belongs into a
        model's input.

    Example:

    >>> truth = load_news_truth(n_items=400, n_users=50)
    >>> visit = pd.DataFrame({"user": [3], "timestamp": [1709600000]}, index=[80])
    >>> truth.utility(visit, np.array([[30, 31]])).round(2)
    array([[-6.86,  3.2 ]])
    """
    n_items, n_users, seed = checked_sizes(
        n_items=(n_items, 200, 2**31), n_users=(n_users, 1, 2**31), seed=(seed, 0, 2**31)
    )
    n_people, rows = len(_sittings(seed, n_users)), np.arange(n_items)
    desk = draw_visits(
        seed + (1 << 32),  # Other luck than the readers': no world has such a large seed.
        np.ones(n_items, np.int64),
        np.full(n_items, _START - _DAY),
        _END,
        hours=_DESK,
    )
    rank = random_bits((seed, _INTERESTS), np.arange(n_people)[:, None], np.arange(len(_TEXTS)))
    interests = rank.argsort(axis=1)[:, :3]
    codes = [draw_codes(seed, rows, attribute) for attribute in _DEFINITIONS]
    catalog = CatalogTruth(
        attribute_table(_DEFINITIONS, codes, _article_ids(n_items)),
        _tastes(seed, n_people, interests),
        _NEWS * _event(seed, n_items),
        _DEFINITIONS,
    )
    return NewsTruth(catalog, desk["timestamp"].to_numpy(), interests, seed)


@dataclass(frozen=True, eq=False, repr=False)
class NewsTruth:
    r"""What a generated newspaper hides from every model.

    The utility of article :math:`i` of age :math:`a` hours for reader :math:`u` in a session of
    intent :math:`z` is

    .. math:: U = t_{ui} + 3 \, [\text{topic}_i = z] + n_i - 4 \frac{a}{a + 6} - 2

    with taste :math:`t` and newsworthiness :math:`n`, which no content shows. The intent is one of
    the reader's three interests or, in three sessions of ten, the topic of the day.

    Args:
        catalog: `CatalogTruth`: topic, angle and colour, tastes and newsworthiness.
        published: int array of shape `(n_items,)`, seconds.
        interests: int array of shape `(n_users, 3)`, topics.
        seed: the world's seed.
    """

    catalog: CatalogTruth
    published: np.ndarray
    interests: np.ndarray
    seed: int

    def intents(self, visits):
        """Return the topic that each visit is after: int array of shape `(n,)`.

        Args:
            visits: data frame as in `utility`.
        """
        session = visits.index.to_numpy() // PAGES
        own = choice(3, (self.seed, _INTENT), session)
        own = self.interests[visits["user"].to_numpy(), own]
        day = (visits["timestamp"].to_numpy() - _START) // _DAY
        today = choice(len(_TEXTS), (self.seed, _TODAY), day)
        return np.where(random_uniform((self.seed, _INTENT, 1), session) < 0.3, today, own)

    def utility(self, visits, slates):
        """Return how much readers want to open what they are shown.

        Args:
            visits: data frame with the columns `user` and `timestamp`, one row a page; its index
                numbers the visits, and with them sessions and intents.
            slates: int array of shape `(n, size)`, items, -1 for none.

        Returns:
            float64 array of shape `(n, size)`; -inf for none and for what is not yet published.
        """
        users, times, items, there = asked(visits, slates)
        age = times[:, None] - self.published[items]
        there = there & (age >= 0)
        age = np.maximum(age, 0)
        topic = self.catalog.attributes["topic"].cat.codes.to_numpy()[items]
        aim = _AIM * (topic == self.intents(visits)[:, None])
        total = self.catalog.affinity(users, items) + aim - _AGE * (age / (age + _STALE)) + _OFFSET
        return np.where(there, total, -np.inf)

    def respond(self, visits, slates):
        """Let readers open articles of a page: the same ones every time.

        Args:
            visits: data frame as in `utility`.
            slates: int array of shape `(n, size)`, items, best first, -1 for none.

        Returns:
            bool array of shape `(n, size)`, what is opened.
        """
        return respond(
            self.seed,
            visits.index.to_numpy(),
            slates,
            self.utility(visits, slates),
            noise=_NOISE,
            attention=_ATTENTION,
        )

    def __repr__(self):
        return f"NewsTruth({len(self.interests):,} users, {len(self.published):,} articles)"


def _article_ids(n):
    return numbered_ids("article", n, name="item_id")


def _write(seed, items):
    """Write a title and a text for each article."""
    topics, angles = (draw_codes(seed, items, a) for a in (_TOPIC_OF, _ANGLE_OF))
    heads = [[part.split("|") for part in text.split("/")] for text in _TEXTS.values()]
    leads = [text.split("|") for text in _LEADS.values()]
    titles, texts = [], []
    bits = random_bits((seed, _WORDS), items[:, None], np.arange(4)).tolist()
    for row, topic, angle in zip(bits, topics, angles, strict=True):
        choices = Choices(row)
        title = f"{choices.pick(heads[topic][0])} {choices.pick(heads[topic][1])}"
        lead = choices.pick(leads[angle]).format(choices.pick(_PLACES))
        titles.append(title)
        texts.append(f"{title}. {lead}.")
    return titles, np.array(texts, dtype=object)


def _tastes(seed, n_people, interests):
    nowhere = np.zeros(n_people, np.int64)
    tastes = {
        attribute.name: scale * draw_tastes(seed, attribute, n_people, nowhere, region_share=0.0)
        for attribute, scale in zip(_DEFINITIONS, (_TOPIC, _ANGLE, _COLOUR), strict=True)
    }
    tastes["topic"][np.arange(n_people)[:, None], interests] += _OWN
    return tastes


def _sittings(seed, n_users):
    """Return how many sessions each person has: registered readers, then one a visitor."""
    counts = 2 + np.floor(13 * random_uniform((seed, _SITTINGS), np.arange(n_users)))
    counts = counts.astype(np.int64)
    return np.concatenate([counts, np.ones(counts.sum() // 2, np.int64)])


def _log(truth, n_users):
    """Return the visits, what they were shown, and what they picked."""
    seed, counts = truth.seed, _sittings(truth.seed, n_users)
    sessions = draw_visits(seed, counts, np.full(len(counts), _START), _END, hours=_READERS)
    pages = _front_pages(truth, sessions["timestamp"].to_numpy())
    visits = _visits(seed, sessions)
    session, page = np.divmod(visits.index.to_numpy(), PAGES)
    slates = pages.reshape(len(sessions), PAGES, _SHOWN)[session, page]
    return visits, slates, truth.respond(visits, slates)


def _visits(seed, sessions):
    """Return one row a page, in the order of time; the index is 4 × session + page."""
    number = np.arange(len(sessions))
    n_pages = 1 + choice(PAGES, (seed, _PAGES), number)
    visit = np.arange(PAGES * len(sessions))
    session, page = np.divmod(visit, PAGES)
    pause = 60 + choice(120, (seed, _PAUSE), session)
    when = sessions["timestamp"].to_numpy()[session] + page * pause
    columns = {"user": sessions["user"].to_numpy()[session], "timestamp": when}
    visits = pd.DataFrame(columns, index=visit)[page < n_pages[session]]
    return visits.sort_values("timestamp", kind="stable")


def _event(seed, n_items):
    """Return how much of an event each article is."""
    return normal((seed, _EVENT), np.arange(n_items))


def _front_pages(truth, times):
    """Let an editor's rule fill pages with what is new and seems important."""
    seed, n_items = truth.seed, len(truth.published)
    seems = _event(seed, n_items) + normal((seed, _EDITOR), np.arange(n_items))
    weight = 1.0 + 1.5 * (1.0 + seems / (1.0 + np.abs(seems)))

    def weigh(sessions, items, ages):
        return 1.0 / (1.0 + ages / (4.0 * _HOUR)) * weight[items]

    return draw_recent_slates(seed, times, truth.published, _ALIVE, weigh, PAGES * _SHOWN)
