"""The hidden attributes of generated items, the tastes of users, and the truth that they make."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmrec_tf.datasets.catalog.arithmetic import choice, normal


@dataclass(frozen=True)
class Attribute:
    """A hidden property of items that users care about, visible in one modality alone."""

    name: str
    modality: str
    values: tuple[str, ...]


ATTRIBUTES = (
    Attribute(
        "colour", "image", ("red", "orange", "yellow", "green", "teal", "blue", "violet", "pink")
    ),
    Attribute("pattern", "image", ("plain", "stripes", "dots", "checks", "zigzag", "grid")),
    Attribute(
        "material",
        "text",
        ("ceramic", "glass", "wood", "metal", "cotton", "wool", "leather", "stone"),
    ),
    Attribute("use", "text", ("travel", "work", "kitchen", "sleep", "garden", "children")),
    Attribute("timbre", "audio", ("flute", "reed", "strings", "organ", "bells", "pluck")),
    # Tempo and mode of the tune: slow major, slow minor, fast major, fast minor.
    Attribute("mood", "audio", ("calm", "wistful", "cheerful", "restless")),
    Attribute("motion", "video", ("slide", "bounce", "orbit", "spin", "pulse", "zigzag")),
    Attribute("speed", "video", ("slow", "medium", "fast")),
)


def draw_codes(seed, items, attribute):
    """Return the value of one attribute that each item has, every value equally likely.

    Args:
        seed: the shop's seed.
        items: int array of shape `(n,)`.
        attribute: an `Attribute`.

    Returns:
        int64 array of shape `(n,)`, positions in `attribute.values`.
    """
    return choice(len(attribute.values), (seed, *_words(attribute.name)), items)


def attribute_table(definitions, codes, index):
    """Return items' attributes as `CatalogTruth` holds them.

    Args:
        definitions: the `Attribute`s, in the order of the columns.
        codes: int arrays of shape `(n_items,)`, positions in their values, one an attribute.
        index: the items' ids.

    Returns:
        Data frame with one categorical column an attribute.
    """
    columns = {
        attribute.name: pd.Categorical.from_codes(
            code.astype(np.int8), categories=list(attribute.values)
        )
        for attribute, code in zip(definitions, codes, strict=True)
    }
    return pd.DataFrame(columns, index=index)


def draw_tastes(seed, attribute, n_users, region, *, region_share=0.1):
    """Return how much each user likes each value of one attribute.

    The tastes of a user are nearly normal and independent of each other, scaled so that every
    attribute spreads a user's affinities over the items by a variance of about 1, however many
    values it has. A small share of it comes from the user's region, so that knowing the region
    helps a little.

    Args:
        seed: the shop's seed.
        attribute: an `Attribute`.
        n_users: number of users.
        region: int array of shape `(n_users,)`.
        region_share: share of the variance that a region explains, in [0, 1].

    Returns:
        float64 array of shape `(n_users, len(attribute.values))`.
    """
    key = (seed, *_words(attribute.name))
    values = np.arange(len(attribute.values))
    own = normal((*key, 1), np.arange(n_users)[:, None], values)
    shared = normal((*key, 2), region[:, None], values)
    tastes = np.sqrt(1.0 - region_share) * own + np.sqrt(region_share) * shared
    n_values = len(attribute.values)
    return tastes * np.sqrt(n_values / (n_values - 1.0))


def add_tastes(tastes, codes, out):
    """Add to `out`, shape `(n_users, n_items)`, what each user thinks of each item's values.

    Args:
        tastes: arrays of shape `(n_users, n_values)`, one an attribute.
        codes: int arrays of shape `(n_items,)`, or `(n_users, n_items)` where every user looks
            at other items; one an attribute.
        out: float64 array, changed in place and returned.
    """
    # Gathered and added attribute by attribute: a product of matrices would be as short, but its
    # last digits depend on the machine.
    for taste, code in zip(tastes, codes, strict=True):
        if code.ndim == 1:
            out += np.take(taste, code, axis=1)
        else:
            out += np.take_along_axis(taste, code, axis=1)
    return out


@dataclass(frozen=True, eq=False, repr=False)
class CatalogTruth:
    """What a generated shop hides from every model: attributes, tastes and popularity.

    It tells how good recommendations could be, and nothing else: a model that sees any of it is
    not measured but told.

    Args:
        attributes: data frame indexed by item ids, one categorical column an attribute.
        tastes: dict from an attribute's name to an array of shape `(n_users, n_values)`.
        popularity: array of shape `(n_items,)`, what every user adds to an item's affinity. No
            content shows it.
        definitions: tuple with the `Attribute` of every name; by default those of the shop.
    """

    attributes: pd.DataFrame
    tastes: Mapping[str, np.ndarray]
    popularity: np.ndarray
    definitions: tuple[Attribute, ...] = ATTRIBUTES

    def affinity(self, users, items=None, *, popularity=True):
        """Return how much users like items: what a recommender tries to find out.

        Args:
            users: int array of row numbers, shape `(n_users,)`.
            items: int array of row numbers, shape `(n_items,)`, or `(n_users, n_items)` where
                every user is asked about other items; by default all.
            popularity: False leaves popularity out: the *content-only* oracle, the bound for
                a model that knows items by their content alone.

        Returns:
            float64 array of shape `(n_users, n_items)`.

        Raises:
            IndexError: if a row number is outside.
            ValueError: if `items` has another number of rows than there are users.
        """
        users = _rows(users, len(next(iter(self.tastes.values()))), "users")
        everything = np.arange(len(self.attributes))
        items = everything if items is None else _rows(items, len(everything), "items")
        if items.ndim == 2 and len(items) != len(users):
            raise ValueError(f"Expected {len(users)} rows of `items`. Received: {len(items)}.")
        scores = np.zeros((len(users), items.shape[-1]))
        if popularity:
            scores += self.popularity[items]
        codes = [self.attributes[name].cat.codes.to_numpy()[items] for name in self.tastes]
        return add_tastes([taste[users] for taste in self.tastes.values()], codes, scores)

    def features(self, modality=None):
        """Return the true attributes as numbers: what a perfect encoder would see.

        Args:
            modality: name of a modality, or a list of names; by default all.

        Returns:
            float32 array of shape `(n_items, p)`: for each attribute of these modalities one
            column a value, 1 where an item has it, else 0.

        Raises:
            ValueError: if a modality shows no attribute.
        """
        known = list(dict.fromkeys(attribute.modality for attribute in self.definitions))
        chosen = known if modality is None else modality
        chosen = [chosen] if isinstance(chosen, str) else list(chosen)
        if unknown := [name for name in chosen if name not in known]:
            raise ValueError(f"Expected modalities among {known}. Received: {unknown}.")
        return np.concatenate(
            [
                np.eye(len(attribute.values), dtype=np.float32)[
                    self.attributes[attribute.name].cat.codes
                ]
                for attribute in self.definitions
                if attribute.modality in chosen
            ],
            axis=1,
        )

    def __repr__(self):
        parts = [f"{a.name} in {a.modality} ({len(a.values)} values)" for a in self.definitions]
        size = f"{len(next(iter(self.tastes.values()))):,} users, {len(self.attributes):,} items"
        return f"CatalogTruth({size}; {', '.join(parts)})"


def _rows(rows, n, name):
    rows = np.atleast_1d(np.asarray(rows))
    if rows.dtype.kind not in "iu" and rows.size:
        raise TypeError(f"Expected `{name}` to be row numbers, integers. Received: {rows.dtype}.")
    rows = rows.astype(np.int64)
    if ((rows < 0) | (rows >= n)).any():
        raise IndexError(f"Expected `{name}` in [0, {n}). Received: {rows.min()} to {rows.max()}.")
    return rows


def _words(name):
    """Return a name as ints, for a key of random numbers."""
    return tuple(name.encode())
