"""A shop by the trip: baskets of goods that go together, prices, sold-out shelves and new goods.

Goods and people are those of the generated catalogue. Here people come on shopping trips. They are
shown a list and buy what they want of it, one of a category at most. For what they bought first,
the anchor, they are shown a second list, and buy from it what goes with the anchor.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmrec_tf._random import random_uniform
from mmrec_tf.datasets.catalog import CatalogTruth, load_catalog_truth
from mmrec_tf.datasets.catalog.arithmetic import uniform
from mmrec_tf.datasets.catalog.images import SILHOUETTES
from mmrec_tf.datasets.catalog.interactions import DAY, END, START
from mmrec_tf.datasets.catalog.shop import shop_items, shop_modalities, shop_users
from mmrec_tf.datasets.catalog.sizes import checked_sizes
from mmrec_tf.datasets.dataset import Dataset, Modality
from mmrec_tf.datasets.worlds.behaviour import asked, draw_slates, draw_visits, impressions, respond

__all__ = ["CommerceTruth", "load_commerce", "load_commerce_truth", "on_sale"]

_TRIPS, _STOCK, _EXPOSURE, _LEVEL, _PARTNERS = 71, 72, 73, 74, 75
_ATTRIBUTES = ("colour", "pattern", "material", "use")
_PICTURES = 2000  # The shop keeps the pictures of so many goods; a smaller world shares them.
_SHOWN = 10  # goods in a list
_WEEK = 7 * DAY
_SOLD_OUT = 0.35  # of the weeks, for the good that is shown most

# What a customer's utility is made of; taste has a standard deviation of 2.
_NOISE, _ATTENTION = 1.0, 0.1
_APPEAL, _PRICE, _FIRST = 0.3, 5.0, -3.5
_SHARE, _PARTNER, _OTHER, _MATCH, _SECOND = 0.4, 2.0, -4.0, 3.0, -3.5


def load_commerce(*, n_items=800, n_users=4000, seed=0):
    """Generate a shop's goods, its customers, and two years of their baskets.

    The same arguments give the same bytes on every machine. Goods and customers are the first ones
    of `load_catalog` with the same seed, pictures and descriptions too.

    Args:
        n_items: number of goods, at least 50.
        n_users: number of customers, at least 1; each has 16 trips on average,
            of which two in seven end with a purchase.
        seed: non-negative int; another seed gives another shop.

    Returns:
        `Dataset`. Rows of `interactions` with the same user and timestamp are one basket, in the
        order in which its goods were bought; no two of them have the same category. `items` has
        `title`, `category`, `price` and `released` (seconds since 1970): what a customer thinks
        of a good depends on its price, and what goes together on the categories, in ways that no
        column tells. `users` has `region`, `age` and `joined`; only the region says a little of
        tastes. The modalities are `text` and `image`. What is not `on_sale` is never bought.

    Raises:
        TypeError: if an argument is not an int.
        ValueError: if an argument is too small or too large.

    Example:

    >>> shop = load_commerce(n_items=200, n_users=100)
    >>> basket = shop.interactions.query("user == 0 and timestamp == 1699495853")
    >>> shop.items.iloc[basket["item"]]["category"].tolist()
    ['lamp', 'vase', 'clock']
    """
    truth = load_commerce_truth(n_items=n_items, n_users=n_users, seed=seed)
    n_items, n_users = len(truth.prices), len(truth.levels)
    users = shop_users(truth.seed, n_users)
    content = shop_modalities(truth.seed, max(n_items, _PICTURES))
    there = np.ones(n_items, bool)
    modalities = {
        name: Modality(there, content[name].read, *shape)
        for name, shape in [("text", ((), object)), ("image", ((64, 64, 3), np.uint8))]
    }
    shown, _ = _log(truth, users["joined"].to_numpy())
    rows = pd.concat([table[table["picked"]] for table in shown])
    # A stable sort leaves what was bought first before the rest of its basket.
    rows = rows.sort_values("visit", kind="stable")
    name = f"Generated baskets (seed {seed})"
    return Dataset(name, users, shop_items(truth.seed, n_items), rows, modalities)


def load_commerce_truth(*, n_items=800, n_users=4000, seed=0):
    """Tell what the shop of the same arguments hides; see `load_commerce`.

    Returns:
        `CommerceTruth`, for measuring and for simulated experiments. Nothing of it belongs into a
        model's input.

    Example:

    >>> truth = load_commerce_truth(n_items=200, n_users=100)
    >>> visit = pd.DataFrame({"user": [0], "timestamp": [1699495853]})
    >>> truth.utility(visit, np.array([[49, 189]])).round(2)
    array([[-3.83,  4.17]])
    >>> truth.utility(visit, np.array([[49, 189]]), anchors=np.array([55])).round(2)
    array([[1.37, 1.57]])
    """
    whole = load_catalog_truth(n_items=n_items, n_users=n_users, seed=seed)
    n_items, seed = len(whole.attributes), int(seed)
    items = shop_items(seed, n_items)
    catalog = CatalogTruth(
        whole.attributes[list(_ATTRIBUTES)],
        {name: whole.tastes[name] for name in _ATTRIBUTES},
        _APPEAL * whole.popularity,
        tuple(a for a in whole.definitions if a.name in _ATTRIBUTES),
    )
    # What a customer is used to pay is spread as prices are.
    dear = uniform(0.0, 1.0, (seed, _LEVEL), np.arange(len(next(iter(whole.tastes.values())))))
    kind_of = {name: kind for kind, name in enumerate(SILHOUETTES)}
    return CommerceTruth(
        catalog,
        items["price"].to_numpy(),
        np.array([kind_of[name] for name in items["category"]]),
        items["released"].to_numpy(),
        9.0 + 20.0 * dear / (1.1 - dear),
        _partners(seed),
        seed,
    )


def on_sale(timestamps, *, n_items=800, seed=0):
    """Tell which goods could be bought when: those that are released and not sold out.

    Anybody can see it in the shop, so a model may use it. A good is sold out for whole weeks at a
    time, and the more often the more it is shown.

    Args:
        timestamps: int array of shape `(n,)`, seconds since 1970.
        n_items: as in `load_commerce`.
        seed: as in `load_commerce`.

    Returns:
        bool array of shape `(n, n_items)`.

    Example:

    >>> on_sale(np.array([1699495853]), n_items=200)[0, :4]
    array([ True,  True, False,  True])
    """
    n_items, seed = checked_sizes(n_items=(n_items, 50, 2**31), seed=(seed, 0, 2**31))
    released = shop_items(seed, n_items)["released"].to_numpy()
    return _on_sale(seed, released, np.asarray(timestamps))


@dataclass(frozen=True, eq=False, repr=False)
class CommerceTruth:
    r"""What a generated shop of baskets hides from every model.

    The utility of good :math:`i` for customer :math:`u` who enters the shop, and after having
    bought the anchor :math:`a`, is

    .. math:: U_{ui} = t_{ui} - 5 \frac{o_{ui}}{1 + o_{ui}} - 3.5, \qquad
        U_{ui \mid a} = 0.4 \, t_{ui} - 5 \frac{o_{ui}}{1 + o_{ui}} + g_{ai} - 3.5

    with taste :math:`t`, what everybody likes about a good included, the price's excess over what
    the customer is used to, :math:`o_{ui} = \max(0, p_i / \ell_u - 1)`, and :math:`g_{ai}`, how
    :math:`i` goes with :math:`a`: 2 if its category is a partner of the anchor's, else -4, and 3
    more for the same colour and for the same use each. Nobody wants what is not on sale, or a
    second one of the anchor's category.

    Args:
        catalog: `CatalogTruth`: hidden attributes and tastes.
        prices: array of shape `(n_items,)`.
        categories: int array of shape `(n_items,)`.
        released: int array of shape `(n_items,)`, seconds.
        levels: array of shape `(n_users,)`, the price that each customer is used to.
        partners: bool array of shape `(10, 10)`: whether the category of the column goes with
            that of the row. It is not symmetric.
        seed: the world's seed.
    """

    catalog: CatalogTruth
    prices: np.ndarray
    categories: np.ndarray
    released: np.ndarray
    levels: np.ndarray
    partners: np.ndarray
    seed: int

    def utility(self, visits, slates, anchors=None):
        """Return how much visitors want what they are shown.

        Args:
            visits: data frame with the columns `user` and `timestamp`, one row a visit.
            slates: int array of shape `(n, size)`, items, -1 for none.
            anchors: int array of shape `(n,)`, what each has just bought; None for visitors who
                enter the shop.

        Returns:
            float64 array of shape `(n, size)`; -inf for what cannot be, or is never, bought.

        Raises:
            ValueError: if there are not as many slates, or anchors, as visits.
        """
        users, times, items, there = asked(visits, slates)
        taste = self.catalog.affinity(users, items)
        excess = np.maximum(self.prices[items] / self.levels[users][:, None] - 1.0, 0.0)
        price = _PRICE * excess / (1.0 + excess)
        offered = _on_sale(self.seed, self.released, times)
        buyable = np.take_along_axis(offered, items, axis=1) & there
        if anchors is None:
            return np.where(buyable, taste - price + _FIRST, -np.inf)
        anchors = np.asarray(anchors)
        if anchors.shape != users.shape:
            raise ValueError(
                f"Expected `anchors` of shape ({len(users)},). Received: {anchors.shape}."
            )
        own, theirs = self.categories[anchors][:, None], self.categories[items]
        fit = np.where(self.partners[own, theirs], _PARTNER, _OTHER)
        for name in ("colour", "use"):
            codes = self.catalog.attributes[name].cat.codes.to_numpy()
            fit = fit + _MATCH * (codes[items] == codes[anchors][:, None])
        total = _SHARE * taste - price + fit + _SECOND
        return np.where(buyable & (own != theirs), total, -np.inf)

    def respond(self, visits, slates, anchors=None):
        """Let visitors buy from lists: the same ones every time, and at most one of a category.

        Args:
            visits: data frame as in `utility`; its index numbers the visits, and with them moods.
                The log's visits are numbered from 0 on.
            slates: int array of shape `(n, size)`, items, best first, -1 for none.
            anchors: as in `utility`.

        Returns:
            bool array of shape `(n, size)`, what is bought.
        """
        # A visit's second list has moods and glances of its own.
        numbers = 2 * visits.index.to_numpy() + (anchors is not None)
        return respond(
            self.seed,
            numbers,
            slates,
            self.utility(visits, slates, anchors),
            noise=_NOISE,
            attention=_ATTENTION,
            kinds=self.categories,
        )

    def __repr__(self):
        return f"CommerceTruth({len(self.levels):,} users, {len(self.prices):,} items)"


def _fame(seed, n_items):
    """Return how well known goods are; nobody likes them more for it, but they are shown more."""
    return uniform(0.0, 1.0, (seed, _EXPOSURE), np.arange(n_items))


def _on_sale(seed, released, timestamps):
    # The draws of each week are made once.
    weeks, row = np.unique((timestamps - START) // _WEEK, return_inverse=True)
    luck = random_uniform((seed, _STOCK), weeks[:, None], np.arange(len(released)))
    there = luck >= _SOLD_OUT * _fame(seed, len(released))
    return there[row] & (timestamps[:, None] >= released)


def _weights(seed, released, timestamps):
    """Return how readily goods are shown: the famous up to 3 times as much, new ones 4 times."""
    age = np.maximum(timestamps[:, None] - released, 0)
    fresh = 1.0 + 3.0 / (1.0 + age / (30.0 * DAY))
    return _on_sale(seed, released, timestamps) * (fresh / (1.5 - _fame(seed, len(released))))


def _partners(seed):
    """Draw three partners for each category, none of them itself."""
    n = len(SILHOUETTES)
    rank = random_uniform((seed, _PARTNERS), np.arange(n)[:, None], np.arange(n))
    rank[np.arange(n), np.arange(n)] = 2.0
    return rank.argsort(axis=1).argsort(axis=1) < 3


def _log(truth, joined):
    """Return all that was shown, and bought, in the first lists and in the second ones."""
    seed = truth.seed
    quantile = random_uniform((seed, _TRIPS), np.arange(len(joined))) * 0.9
    counts = np.floor(2.0 + 9.0 * quantile / (1.0 - quantile)).astype(np.int64)
    visits = draw_visits(seed, counts, joined, END)
    times = visits["timestamp"].to_numpy()

    def weigh(rows):
        return _weights(seed, truth.released, times[rows])

    first = draw_slates(seed, len(visits), weigh, _SHOWN)
    picked = truth.respond(visits, first)
    buyers = np.flatnonzero(picked.any(axis=1))
    anchors = first[buyers, picked[buyers].argmax(axis=1)]
    # A category of which something was bought is not shown again.
    row, column = np.nonzero(picked[buyers])
    taken = np.zeros((len(buyers), len(SILHOUETTES)), bool)
    taken[row, truth.categories[first[buyers][row, column]]] = True

    def weigh_others(rows):
        return weigh(buyers[rows]) * ~taken[rows][:, truth.categories]

    # Other luck than for the first lists: no shop has such a large seed.
    second = draw_slates(seed + 2**32, len(buyers), weigh_others, _SHOWN)
    later = visits.iloc[buyers]
    bought = truth.respond(later, second, anchors)
    return (impressions(visits, first, picked), impressions(later, second, bought)), anchors
