"""The generated shop: items that are seen, read, heard and watched, and users who like some."""

import functools

import numpy as np
import pandas as pd

from mmrec_tf.datasets.catalog.arithmetic import choice, normal, uniform
from mmrec_tf.datasets.catalog.attributes import (
    ATTRIBUTES,
    CatalogTruth,
    add_tastes,
    attribute_table,
    draw_codes,
    draw_tastes,
)
from mmrec_tf.datasets.catalog.clips import FRAMES, RATE, SIZE, render_clips
from mmrec_tf.datasets.catalog.descriptions import write_descriptions
from mmrec_tf.datasets.catalog.ids import numbered_ids
from mmrec_tf.datasets.catalog.images import SILHOUETTES, render_images
from mmrec_tf.datasets.catalog.interactions import DAY, START, draw_counts, simulate_interactions
from mmrec_tf.datasets.catalog.sizes import checked_sizes
from mmrec_tf.datasets.catalog.sounds import RATE as SOUND_RATE
from mmrec_tf.datasets.catalog.sounds import SAMPLES, render_sounds
from mmrec_tf.datasets.catalog.stored import STORED_ITEMS, rendered_modality
from mmrec_tf.datasets.dataset import Dataset, Modality

_VERSION = 1  # Raise it with every change of a picture, sound or clip: caches go by it.
_MAX_SHOWN = 4_096

# Standard deviations, where each of the eight attributes has 1 and all together have 2.8.
_POPULARITY, _NOISE = 1.5, 2.4

_REGIONS = ("coast", "hills", "city", "plains", "islands", "lakes")
_NAMES = (
    "Marlow", "Selby", "Tamsin", "Orrin", "Quill", "Ines", "Bramley", "Odile", "Farrow", "Linus",
    "Corin", "Maude", "Everly", "Tobias", "Wren", "Juno", "Halden", "Petra", "Rufus", "Sorrel",
    "Edda", "Calder", "Nell", "Ambrose", "Thea", "Ludlow", "Iris", "Percy", "Solveig", "Denby",
)  # fmt: skip
_CATEGORY, _TITLE, _PRICE, _RELEASED, _POPULAR, _REGION, _AGE, _JOINED = range(1, 9)


def load_catalog(*, n_items=2000, n_users=5000, seed=0):
    """Generate a shop whose items have a picture, a description, a sound and a clip each.

    The same arguments give the same bytes on every machine. What users like about items are
    hidden attributes, each of them visible in one modality alone; `load_catalog_truth` tells
    them. An item's content depends on the seed and its number, not on the size of the shop.

    Content is rendered when it is first read, seconds for 2,000 items, and up to 20,000 items of
    it are kept in the user's cache directory, or in `$MMREC_TF_CACHE`; that is 69 kB an item. In a
    larger shop it is rendered each time, just for the items asked.

    Args:
        n_items: number of items, at least 50.
        n_users: number of users, at least 1; each has about 21 interactions.
        seed: non-negative int; another seed gives another shop.

    Returns:
        `Dataset`. `users` has `region`, which says a little about a user's taste, and `age` and
        `joined` (seconds since 1970), which say nothing about it. `items` has `title`,
        `category`, `price` and `released` (seconds since 1970), none of which says what users
        like. The modalities are `text`, `image` of shape `(64, 64, 3)`, `audio` of 16,000
        samples, one second, and `video` of shape `(8, 32, 32, 3)`, one second too. No interaction
        is earlier than the item's release or the user's joining, and no pair occurs twice.

    Raises:
        TypeError: if an argument is not an int.
        ValueError: if an argument is too small or too large.
        OSError: on reading content, if the cache directory cannot be written.

    Example:

    >>> shop = load_catalog(n_items=100, n_users=50)
    >>> shop.items.loc["item-00042", ["category", "price"]].tolist()
    ['box', np.float64(34.9)]
    """
    n_items, n_users, seed = _checked(n_items, n_users, seed)
    users, items = shop_users(seed, n_users), shop_items(seed, n_items)
    log = _interactions(seed, users, items)
    name = f"Generated catalogue (seed {seed})"
    return Dataset(name, users, items, log, shop_modalities(seed, n_items))


def load_catalog_truth(*, n_items=2000, n_users=5000, seed=0):
    """Tell what the shop of the same arguments hides; see `load_catalog`.

    Returns:
        `CatalogTruth`, for measuring how far a model is from what is possible. Nothing of it
        belongs into a model's input.

    Example:

    >>> truth = load_catalog_truth(n_items=100, n_users=50)
    >>> truth.attributes.loc["item-00042", ["colour", "material", "mood", "motion"]].tolist()
    ['blue', 'ceramic', 'restless', 'zigzag']
    """
    n_items, n_users, seed = _checked(n_items, n_users, seed)
    rows = np.arange(n_items)
    codes = [draw_codes(seed, rows, attribute) for attribute in ATTRIBUTES]
    attributes = attribute_table(ATTRIBUTES, codes, numbered_ids("item", n_items))
    names = [attribute.name for attribute in ATTRIBUTES]
    tastes = dict(zip(names, _tastes(seed, n_users), strict=True))
    return CatalogTruth(attributes, tastes, _popularity(seed, rows))


def _checked(n_items, n_users, seed):
    return checked_sizes(
        n_items=(n_items, 50, 2**31), n_users=(n_users, 1, 2**31), seed=(seed, 0, 2**31)
    )


def shop_users(seed, n_users):
    """Return the users' table of the shop; a user is the same in a larger one."""
    rows = np.arange(n_users)
    # Half of the users come in the first month, the others over the next twenty.
    day = np.where(
        choice(2, (seed, _JOINED, 0), rows) == 0,
        choice(30, (seed, _JOINED, 1), rows),
        30 + choice(600, (seed, _JOINED, 1), rows),
    )
    columns = {
        "region": np.array(_REGIONS, dtype=object)[_region(seed, n_users)],
        "age": 16 + choice(40, (seed, _AGE, 0), rows) + choice(30, (seed, _AGE, 1), rows),
        "joined": START + day * DAY + choice(DAY, (seed, _JOINED, 2), rows),
    }
    return pd.DataFrame(columns, index=numbered_ids("user", n_users))


def shop_items(seed, n_items):
    """Return the items' table of the shop; an item is the same in a larger one."""
    rows = np.arange(n_items)
    category = _category(seed, rows)
    kinds = np.array(SILHOUETTES, dtype=object)
    names = np.array(_NAMES, dtype=object)[choice(len(_NAMES), (seed, _TITLE, 0), rows)]
    numbers = np.array([f" No. {number}" for number in range(1, 100)], dtype=object)
    # Most items are there when the shop opens; the others come along its two years.
    day = np.where(
        choice(10, (seed, _RELEASED, 0), rows) < 6,
        -90 + choice(90, (seed, _RELEASED, 1), rows),
        choice(700, (seed, _RELEASED, 1), rows),
    )
    dear = uniform(0.0, 1.0, (seed, _PRICE, 0), rows)
    whole = np.floor(9.0 + 20.0 * dear / (1.1 - dear)).astype(np.int64)
    cents = 100 * whole + np.array([0, 50, 90])[choice(3, (seed, _PRICE, 1), rows)]
    columns = {
        "title": names + " " + kinds[category] + numbers[choice(99, (seed, _TITLE, 1), rows)],
        "category": kinds[category],
        "price": cents / 100.0,
        "released": START + day * DAY + choice(DAY, (seed, _RELEASED, 2), rows),
    }
    return pd.DataFrame(columns, index=numbered_ids("item", n_items))


def _category(seed, rows):
    return choice(len(SILHOUETTES), (seed, _CATEGORY), rows)


def _region(seed, n_users):
    return choice(len(_REGIONS), (seed, _REGION), np.arange(n_users))


def _popularity(seed, rows):
    return _POPULARITY * normal((seed, _POPULAR), rows)


def _tastes(seed, n_users):
    region = _region(seed, n_users)
    return [draw_tastes(seed, attribute, n_users, region) for attribute in ATTRIBUTES]


def _interactions(seed, users, items):
    rows = np.arange(len(items))
    tastes = _tastes(seed, len(users))
    codes = [draw_codes(seed, rows, attribute) for attribute in ATTRIBUTES]
    popularity = _popularity(seed, rows)

    def affinity(users, items):
        scores = np.zeros((len(users), items.shape[-1])) + popularity[items]
        return add_tastes(
            [taste[users] for taste in tastes], [code[items] for code in codes], scores
        )

    return simulate_interactions(
        seed,
        affinity,
        draw_counts(seed, len(users), at_most=min(len(items), _MAX_SHOWN) // 5),
        users["joined"].to_numpy(),
        items["released"].to_numpy(),
        noise=_NOISE,
        max_shown=_MAX_SHOWN,
    )


def shop_modalities(seed, n_items):
    """Return the four modalities; each shows its two attributes and no other."""

    def codes(items, modality):
        return [draw_codes(seed, items, a) for a in ATTRIBUTES if a.modality == modality]

    def read_text(items):
        category = _category(seed, items)
        return write_descriptions(seed, items, *codes(items, "text"), category, SILHOUETTES)

    def draw(items):
        return render_images(seed, items, *codes(items, "image"), _category(seed, items))

    def play(items):
        return render_sounds(seed, items, *codes(items, "audio"))

    def film(items):
        return render_clips(seed, items, *codes(items, "video"))

    @functools.cache
    def texts():
        return read_text(np.arange(n_items))

    present = np.ones(n_items, dtype=bool)
    text = read_text if n_items > STORED_ITEMS else lambda items: texts()[items]
    modalities = {"text": Modality(present, text, (), object)}
    for name, render, shape, dtype, rate in [
        ("image", draw, (64, 64, 3), np.uint8, None),
        ("audio", play, (SAMPLES,), np.int16, SOUND_RATE),
        ("video", film, (FRAMES, SIZE, SIZE, 3), np.uint8, RATE),
    ]:
        file = f"catalog-v{_VERSION}-seed{seed}-{n_items}-{name}.npy"
        modalities[name] = rendered_modality(file, (n_items, *shape), dtype, render, rate=rate)
    return modalities
