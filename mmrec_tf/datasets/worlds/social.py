"""A small social network: people who follow each other, and the posts that they like.

The network grows in the order of time: people come and are shown others whom they may know. What
they write about shows what they care about. A feed is a list of posts of the last three days, most
of them by people whom the reader follows.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

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
    draw_slates,
    draw_visits,
    impressions,
    respond,
)
from mmrec_tf.datasets.worlds.pictures import COLOUR, colour_pictures

__all__ = ["SocialTruth", "load_follows", "load_social", "load_social_truth"]

_DAY = 86_400
_START = 1_704_067_200  # 2024-01-01 00:00 UTC, a Monday
_END = _START + 60 * _DAY
_FIRST = _START - 3 * _DAY
_SHOWN = 10
_ALIVE = 3 * _DAY  # No older post is in a feed.
_NEVER = 32_000  # a day that is never reached

_JOINED, _INTERESTS, _QUALITY, _LOOKS, _READS = 111, 112, 113, 114, 115
_AUTHOR, _WHEN, _ABOUT, _WORDS, _BIO, _THING = 116, 117, 118, 119, 120, 121

# What the utilities are made of; people and posts have luck of their own.
_PEOPLE = 1 << 32  # No world has such a large seed.
_NOISE, _ATTENTION = 1.0, 0.1
_OWN, _TOPIC, _COLOUR, _AUTHORS, _AGE, _OFFSET = 1.5, 0.5, 0.5, 0.8, 3.0, -1.2
_FIT, _FAME, _FRIENDS, _DISTANCE = 1.0, 0.8, 2.0, -3.0

# A topic: what its posts are about, what happens there, and what people say of themselves.
_TOPICS = {
    "gardening": "My tomato plants|The compost heap|An old rose|The greenhouse/is full of snails|"
    "bloomed overnight|needs pruning again|survived the frost/Seeds and soil|I grow vegetables",
    "cycling": "My road bike|The mountain pass|A group ride|The cycle path/was steeper than it "
    "looked|cost me two flat tyres|took five hours against the wind|needs a new chain/On two "
    "wheels|I ride a bicycle to everywhere",
    "cooking": "The lentil curry|My sourdough|Grandmother's soup|The pasta dough/needs more salt|"
    "came out of the oven too dark|tastes better the next day|rests overnight/Kitchen person|I "
    "cook for friends",
    "astronomy": "The telescope|Saturn|A meteor shower|The winter sky/showed its rings tonight|is "
    "worth a cold night|hid behind clouds|rose over the hill/Stargazer|I look at planets",
    "chess": "The endgame|A rook sacrifice|My opening|The club tournament/lost me a pawn|ended in "
    "a draw|was checkmate in nine|took four hours of thinking/Chess club|I play the Sicilian",
    "hiking": "The ridge trail|My old boots|The alpine hut|A foggy summit/was above the clouds|is "
    "two days from any road|gave me blisters|is marked on no map/Trails and summits|I walk in the "
    "mountains",
    "films": "The silent movie|That director's debut|The cinema downstairs|The last scene/made "
    "everybody cry|is one take of ten minutes|deserves a remake|shows old reels on Monday/Cinema "
    "seat nine|I watch old movies",
    "programming": "The compiler|My side project|A race condition|The unit test/fails only on "
    "Friday|is rewritten in another language|took one line to fix|has no documentation/Software "
    "by day|I write code",
    "music": "The cello|Our choir|The jazz trio|An old record/is out of tune|played until "
    "midnight|needs another rehearsal|sounds warmer on vinyl/Second violin|I sing and play the "
    "piano",
    "cats": "My cat|The neighbour's kitten|The tabby|A stray tomcat/sleeps on the keyboard|caught "
    "a moth|refuses the expensive food|is afraid of the vet/Servant of two cats|I foster kittens",
    "politics": "The city council|The election|A petition|The new mayor/was voted down|promises "
    "cheaper buses|needs a thousand signatures|debated until dawn/Goes to the polls|I argue about "
    "parliament",
    "football": "Our goalkeeper|The away match|The penalty|The youth team/went to extra time|was "
    "never offside|won the derby|was lost in the last minute/Season ticket, north stand|I watch "
    "football every weekend",
}
_ENDINGS = ("", " What do you say?", " More tomorrow.", " No comment.", " Finally!", " As always.")
_PLACES = ("Lisbon", "Oslo", "Lyon", "Kyoto", "Quito", "Accra", "Turin", "Perth")

_TOPIC_OF = Attribute("topic", "text", tuple(_TOPICS))
_DEFINITIONS = (_TOPIC_OF, COLOUR)


def load_social(*, n_items=3000, n_users=2000, seed=0):
    """Generate a social network's posts, and who liked which within 60 days.

    The same arguments give the same bytes on every machine.

    Args:
        n_items: number of posts, at least 200, written in 63 days: three are before the log.
        n_users: number of people, from 100 to 10,000, in the order in which they joined: two in
            five before the log, the others in its first month. Every fifth of them writes.
        seed: non-negative int; another seed gives another network.

    Returns:
        `Dataset`. `users` has `joined` (seconds since 1970). `items`, in the order of time, has
        `author` (a row of `users`) and `created`. The modalities are `text` and `image`. An
        interaction is a like; nobody likes a post twice.

    Raises:
        TypeError: if an argument is not an int.
        ValueError: if an argument is too small or too large.

    Example:

    >>> network = load_social(n_items=200, n_users=100)
    >>> network.modalities["text"][2]
    'The lentil curry needs more salt. As always.'
    """
    truth = load_social_truth(n_items=n_items, n_users=n_users, seed=seed)
    seed, items = truth.seed, np.arange(len(truth.created))
    visits, slates = _feeds(truth)
    table = impressions(visits, slates, truth.respond(visits, slates))
    likes = table[table["picked"]].drop_duplicates(["user", "item"])
    topic = truth.catalog.attributes["topic"].cat.codes.to_numpy()
    posts = pd.DataFrame(
        {"author": truth.authors, "created": truth.created},
        index=numbered_ids("post", len(items), name="item_id"),
    )
    modalities = {
        "text": Modality.from_array(_write(seed, topic)),
        "image": colour_pictures("social-v1", seed, _THING, len(items)),
    }
    name = f"Generated network, posts (seed {seed})"
    return Dataset(name, _people(truth), posts, likes, modalities)


def load_follows(*, n_users=2000, seed=0):
    """Generate who follows whom in the network of `load_social`, and when.

    Args:
        n_users: as in `load_social`.
        seed: as in `load_social`.

    Returns:
        `Dataset` whose users and items are the same people. `users` and `items` have `joined`; an
        interaction is that `user` follows `item` from then on. The modality is `text`, what people
        say of themselves: it names two of their three interests.

    Example:

    >>> follows = load_follows(n_users=100)
    >>> follows.modalities["text"][7]
    'On two wheels. I play the Sicilian. Accra.'
    """
    truth = load_social_truth(n_items=200, n_users=n_users, seed=seed)
    people = _people(truth)
    name = f"Generated network, follows (seed {truth.seed})"
    text = {"text": Modality.from_array(_introduce(truth.seed, truth.interests))}
    return Dataset(name, people, people.rename_axis("item_id"), truth.follows, text)


def load_social_truth(*, n_items=3000, n_users=2000, seed=0):
    """Tell what the network of the same arguments hides; see `load_social`.

    Returns:
        `SocialTruth`, for measuring and for simulated experiments. Nothing of it belongs into a
        model's input.

    Example:

    >>> truth = load_social_truth(n_items=200, n_users=100)
    >>> visit = pd.DataFrame({"user": [3], "timestamp": [1709164800]})
    >>> truth.utility(visit, np.array([[180, 181]])).round(2)
    array([[-4.56, -2.88]])
    """
    n_items, n_users, seed = checked_sizes(
        n_items=(n_items, 200, 2**31), n_users=(n_users, 100, 10_001), seed=(seed, 0, 2**31)
    )
    people, posts = np.arange(n_users), np.arange(n_items)
    # Two in five are there from the start, the others join within a month.
    early = 2 * n_users // 5
    luck = np.sort(random_uniform((seed, _JOINED), people))
    joined = np.full(n_users, _FIRST)
    joined[early:] = _START + (luck * (50 * _DAY)).astype(np.int64)[: n_users - early]
    rank = random_bits((seed, _INTERESTS), people[:, None], np.arange(len(_TOPICS)))
    interests = rank.argsort(axis=1)[:, :3]
    quality = normal((seed, _QUALITY), people)

    # A few write much: shares of posts are as unequal as 1 / (1.02 - q), q uniform.
    writers = people[::5]
    busy = np.cumsum(1.0 / (1.02 - random_uniform((seed, _AUTHOR), writers)))
    luck = random_uniform((seed, _AUTHOR, 1), posts) * busy[-1]
    authors = writers[np.searchsorted(busy, luck, side="right")]
    span = (_END - joined[authors]).astype(np.uint64)
    created = joined[authors] + (random_bits((seed, _WHEN), posts) % span).astype(np.int64)
    order = np.lexsort((posts, created))
    authors, created = authors[order], created[order]
    about = interests[authors, choice(3, (seed, _ABOUT), posts)]
    other = choice(len(_TOPICS), (seed, _ABOUT, 1), posts)
    topic = np.where(random_uniform((seed, _ABOUT, 2), posts) < 0.1, other, about)
    codes = topic, draw_codes(seed, posts, COLOUR)
    ids = numbered_ids("post", n_items, name="item_id")
    attributes = attribute_table(_DEFINITIONS, codes, ids)
    nowhere = np.zeros(n_users, np.int64)
    tastes = {
        a.name: scale * draw_tastes(seed, a, n_users, nowhere, region_share=0.0)
        for a, scale in zip(_DEFINITIONS, (_TOPIC, _COLOUR), strict=True)
    }
    tastes["topic"][people[:, None], interests] += _OWN
    catalog = CatalogTruth(attributes, tastes, _AUTHORS * quality[authors], _DEFINITIONS)
    nobody = pd.DataFrame({"user": [], "item": [], "timestamp": []}, dtype=np.int64)
    truth = SocialTruth(catalog, authors, created, joined, interests, quality, nobody, seed)
    return replace(truth, follows=_grow(truth))


@dataclass(frozen=True, eq=False, repr=False)
class SocialTruth:
    r"""What a generated network hides from every model.

    The utility of post :math:`i` of age :math:`a` days for reader :math:`u` is

    .. math:: U_{ui} = t_{ui} + 0.8 \, q_{w(i)} - 3 \frac{a}{a + 1} - 1.2

    with taste :math:`t` for its topic and its colour, and the quality :math:`q` of its author
    :math:`w(i)`, which no content shows. That of following person :math:`v` is

    .. math:: V_{uv} = \sum_{z \in I_v} t_{uz} + 0.8 \, q_v + 2 \frac{m_{uv}}{m_{uv} + 2} - 3

    with :math:`v`'s three interests :math:`I_v`, :math:`u`'s taste :math:`t_{uz}` for topic
    :math:`z`, and :math:`m_{uv}`, how many of those whom :math:`u` follows follow :math:`v` as the
    day begins.

    Args:
        catalog: `CatalogTruth` of posts: topic and colour, tastes, and authors' quality.
        authors: int array of shape `(n_items,)`, rows of people.
        created: int array of shape `(n_items,)`, seconds.
        joined: int array of shape `(n_users,)`, seconds.
        interests: int array of shape `(n_users, 3)`, topics.
        quality: array of shape `(n_users,)`.
        follows: data frame with `user`, `item` and `timestamp`, in the order of time.
        seed: the world's seed.
    """

    catalog: CatalogTruth
    authors: np.ndarray
    created: np.ndarray
    joined: np.ndarray
    interests: np.ndarray
    quality: np.ndarray
    follows: pd.DataFrame
    seed: int

    def utility(self, visits, slates):
        """Return how much readers want to like the posts that they are shown.

        Args:
            visits: data frame with the columns `user` and `timestamp`, one row a visit.
            slates: int array of shape `(n, size)`, posts, -1 for none.

        Returns:
            float64 array of shape `(n, size)`; -inf for none and for what is not yet written.

        Raises:
            ValueError: if there are not as many slates as visits.
        """
        users, when, items, there = asked(visits, slates)
        age = when[:, None] - self.created[items]
        there = there & (age >= 0)
        age = np.maximum(age, 0)
        total = self.catalog.affinity(users, items) - _AGE * (age / (age + _DAY)) + _OFFSET
        return np.where(there, total, -np.inf)

    def follow_utility(self, visits, slates):
        """Return how much people want to follow those whom they are shown.

        Args:
            visits: data frame as in `utility`.
            slates: int array of shape `(n, size)`, people, -1 for none.

        Returns:
            float64 array of shape `(n, size)`; -inf for none, for oneself, for who has not joined
            and for whom one follows already as the day begins.

        Raises:
            ValueError: if there are not as many slates as visits.
        """
        users, when, people, there = asked(visits, slates)
        utility = self._want(users, when, people, *self._friends(users, when, people))
        return np.where(there, utility, -np.inf)

    def _want(self, users, when, people, follows, mutual):
        taste = self.catalog.tastes["topic"][users]
        fit = np.zeros(people.shape)
        for column in range(3):
            fit += np.take_along_axis(taste, self.interests[people, column], axis=1)
        total = _FIT * fit + _FAME * self.quality[people] + _FRIENDS * (mutual / (mutual + 2.0))
        there = ~follows & (people != users[:, None])
        there &= self.joined[people] <= when[:, None]
        return np.where(there, total + _DISTANCE, -np.inf)

    def respond(self, visits, slates):
        """Let readers like posts of a feed: the same ones every time.

        Args:
            visits: data frame as in `utility`; its index numbers the visits, and with them moods.
            slates: int array of shape `(n, size)`, posts, best first, -1 for none.

        Returns:
            bool array of shape `(n, size)`, what is liked.
        """
        return self._respond(self.seed, visits, slates, self.utility(visits, slates))

    def respond_follow(self, visits, slates):
        """Let people follow others; as `respond`, with `slates` of people."""
        utility = self.follow_utility(visits, slates)
        return self._respond(self.seed + _PEOPLE, visits, slates, utility)

    def _respond(self, seed, visits, slates, utility):
        numbers = visits.index.to_numpy()
        return respond(seed, numbers, slates, utility, noise=_NOISE, attention=_ATTENTION)

    def _friends(self, users, when, people):
        """Return whether users follow people, and how many of their friends do."""
        follows, mutual = np.zeros(people.shape, bool), np.zeros(people.shape)
        days = (when - _START) // _DAY
        for day in np.unique(days):
            rows = np.flatnonzero(days == day)
            past = self.follows[self.follows["timestamp"] < _START + day * _DAY]
            graph = _graph(past["user"], past["item"], len(self.joined))
            friends = graph[users[rows]]
            for out, table in ((follows, friends), (mutual, friends @ graph)):
                out[rows] = np.take_along_axis(table.toarray(), people[rows], axis=1)
        return follows, mutual

    def __repr__(self):
        return f"SocialTruth({len(self.joined):,} users, {len(self.created):,} posts)"


def _graph(users, people, n):
    """Return who follows whom; whole numbers, so that sums are exact in any order."""
    return csr_array((np.ones(len(users), np.int32), (users, people)), (n, n))


def _people(truth):
    index = numbered_ids("person", len(truth.joined), name="user_id")
    return pd.DataFrame({"joined": truth.joined}, index=index)


def _write(seed, topic):
    """Write a text for each post."""
    parts = [[half.split("|") for half in text.split("/")[:2]] for text in _TOPICS.values()]
    bits = random_bits((seed, _WORDS), np.arange(len(topic))[:, None], np.arange(3)).tolist()
    texts = []
    for row, code in zip(bits, topic, strict=True):
        choices = Choices(row)
        what, happens = map(choices.pick, parts[code])
        texts.append(f"{what} {happens}.{choices.pick(_ENDINGS)}")
    return np.array(texts, dtype=object)


def _introduce(seed, interests):
    """Let each person tell two of three interests."""
    says = [text.split("/")[2].split("|") for text in _TOPICS.values()]
    places = choice(len(_PLACES), (seed, _BIO), np.arange(len(interests)))
    texts = [
        f"{says[first][0]}. {says[second][1]}. {_PLACES[place]}."
        for (first, second, _), place in zip(interests.tolist(), places, strict=True)
    ]
    return np.array(texts, dtype=object)


def _visits(seed, key, joined, least, spread):
    """Let people come at most once a day."""
    luck = random_uniform((seed, key), np.arange(len(joined)))
    here = (_END - np.maximum(joined, _START)) / (60.0 * _DAY)
    counts = np.floor((least + spread * luck * luck) * here + 1.0).astype(np.int64)
    visits = draw_visits(seed, counts, np.maximum(joined, _START), _END)
    day = (visits["timestamp"] - _START) // _DAY
    return visits[~visits.assign(day=day).duplicated(["user", "day"])]


def _grow(truth):
    """Let the network grow day by day, and return the follows."""
    seed = truth.seed + _PEOPLE
    visits = _visits(seed, _LOOKS, truth.joined, 4.0, 26.0)
    days = (visits["timestamp"].to_numpy() - _START) // _DAY
    writes = np.arange(len(truth.joined)) % 5 == 0
    tables, followed = [], np.zeros((2, 0), np.int64)
    for day in np.unique(days):
        today = visits[days == day]
        users, when = today["user"].to_numpy(), today["timestamp"].to_numpy()
        everybody = np.tile(np.arange(len(truth.joined)), (len(users), 1))
        graph = _graph(*followed, len(truth.joined))
        friends = graph[users]
        follows, mutual = friends.toarray() > 0, (friends @ graph).toarray()
        there = ~follows & (everybody != users[:, None]) & (truth.joined <= when[:, None])
        fans = np.bincount(followed[1], minlength=len(truth.joined))
        # Friends of friends more, who has many followers, and who writes.
        weights = 1.0 + 4.0 * (mutual / (mutual + 2.0)) + fans / (fans + 10.0)
        weights *= there * np.where(writes, 2.0, 1.0)
        # A day's lists have luck of their own.
        slates = draw_slates(
            seed + _PEOPLE * (1 + int(day)), len(users), lambda rows, w=weights: w[rows], _SHOWN
        )
        known = (np.take_along_axis(table, slates, axis=1) for table in (follows, mutual))
        utility = truth._want(users, when, slates, *known)
        table = impressions(today, slates, truth._respond(seed, today, slates, utility))
        table = table[table["picked"]]
        followed = np.hstack([followed, table[["user", "item"]].T])
        tables.append(table)
    return pd.concat(tables)[["user", "item", "timestamp"]].reset_index(drop=True)


def _feeds(truth):
    """Return visits to the feed, and what was shown: what is new, by people one follows."""
    visits = _visits(truth.seed, _READS, truth.joined, 6.0, 18.0)
    users, when = (visits[name].to_numpy() for name in ("user", "timestamp"))
    days = (when - _START) // _DAY
    # The day of the log on which the row's person followed the column's.
    since = np.full((len(truth.joined), len(truth.joined)), _NEVER, np.int16)
    follows = truth.follows
    since[follows["user"], follows["item"]] = (follows["timestamp"] - _START) // _DAY

    def weigh(rows, items, ages):
        followed = since[users[rows][:, None], truth.authors[items]] < days[rows][:, None]
        return np.where(followed, 20.0, 1.0) / (1.0 + ages / (0.5 * _DAY))

    return visits, draw_recent_slates(truth.seed, when, truth.created, _ALIVE, weigh, _SHOWN)
