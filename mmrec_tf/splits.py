"""Splits of interactions into train, validation and test that cannot leak.

Every function returns a `Split` on which `check_no_leakage` has been run. What may leak depends on
the question that a split asks, so each states its promises.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mmrec_tf._random import random_bits


@dataclass(frozen=True, eq=False)
class Split:
    """Parts of a data set's interactions, each a data frame with the rows' original index.

    Args:
        promises: what holds between the parts, names that `check_no_leakage` knows.
        train: what a model may learn from.
        validation: what its settings are chosen on.
        test: what it is measured on, once.
        given: interactions of validation and test users that a model may be shown when it
            recommends to them, though it never learned from them; empty for most splits.
        excluded: rows in none of the parts, with a column `reason`.
    """

    promises: tuple[str, ...]
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    given: pd.DataFrame
    excluded: pd.DataFrame

    @property
    def train_and_validation(self):
        """Rows of both parts, to train on once the settings are chosen."""
        return pd.concat([self.train, self.validation]).sort_index()

    def __repr__(self):
        lines = ["Split: " + ", ".join(self.promises)]
        for name in (*_PARTS, "excluded"):
            rows = getattr(self, name)
            line = f"  {name:<11}{len(rows):>12,} interactions"
            if len(rows):
                line += f" of {rows['user'].nunique():,} users and {rows['item'].nunique():,} items"
            lines.append(line)
        lines += [
            f"    {count:,}: {reason}"
            for reason, count in self.excluded["reason"].value_counts().items()
        ]
        return "\n".join(lines)


def global_temporal_split(dataset, *, test=0.2, validation=0.1):
    """Split at two points in time: what every model in production faces.

    Train ends before validation begins, and validation before test begins; rows of the same second
    stay together. Users and items that are new in a later part are kept: `warm_and_cold` tells
    them apart. A pair that an earlier part holds already is excluded from the later ones.

    Args:
        dataset: `Dataset`.
        test: share of the interactions, the latest ones, in (0, 1).
        validation: share of the interactions just before these.

    Returns:
        `Split`.

    Raises:
        ValueError: if the shares leave a part empty.

    Example:

    >>> from mmrec_tf import Dataset
    >>> log = {"user_id": list("aabbab"), "item_id": list("xyxzzy"), "timestamp": range(6)}
    >>> split = global_temporal_split(
    ...     Dataset.from_log("six", pd.DataFrame(log)), test=0.3, validation=0.2
    ... )
    >>> split.test["timestamp"].tolist(), split.validation["timestamp"].tolist()
    ([4, 5], [3])
    """
    _check_shares(test, validation)
    log = dataset.interactions
    times = np.sort(log["timestamp"].to_numpy())
    first = [int(_floor(len(times) * (1 - share))) for share in (test + validation, test)]
    part = np.searchsorted(times[first], log["timestamp"].to_numpy(), side="right")
    return _split(dataset, part, ("one time for all", "pairs apart"))


def per_user_temporal_split(dataset, *, test=0.2, validation=0.1):
    """Split each user's interactions by time: of n, the first floor((1 - test) n) are before test.

    The usual protocol for comparing models on MovieLens. It promises less than it seems to: what
    one user did late helps to predict what another did early. `global_temporal_split` has no such
    leak.

    Rows of the same second keep the order of the data set. A pair that the user's earlier part
    holds already is excluded.

    Args:
        dataset: `Dataset`.
        test: share of a user's interactions, the latest ones, in (0, 1).
        validation: share of a user's interactions just before these.

    Returns:
        `Split`. Users with few interactions may have none in validation.

    Raises:
        ValueError: if the shares leave a part empty.
    """
    _check_shares(test, validation)
    rank, size = _rank_and_size(dataset.interactions)
    part = (rank >= _floor(size * (1 - test - validation))).astype(int)
    part += rank >= _floor(size * (1 - test))
    return _split(dataset, part, ("one time a user", "pairs apart"))


def leave_last_out_split(dataset):
    """Test on each user's last interaction, validate on the one before.

    Users with fewer than three interactions stay in train whole. Leaks across users as
    `per_user_temporal_split` does.

    Args:
        dataset: `Dataset`.

    Returns:
        `Split`.

    Raises:
        ValueError: if no user has three interactions.
    """
    rank, size = _rank_and_size(dataset.interactions)
    part = np.where(size < 3, 0, np.clip(rank - size + 3, 0, 2))
    return _split(dataset, part, ("one time a user", "pairs apart"))


def item_cold_start_split(dataset, *, test=0.2, validation=0.1, seed=0):
    """Hold out whole items, drawn at random: all that happened to them is validation or test.

    Users without an interaction left in train are excluded from validation and test: of them
    nothing is known either. Time plays no part: this measures content alone.

    Args:
        dataset: `Dataset`.
        test: share of the items with an interaction that are test's, in (0, 1).
        validation: share of them that are validation's.
        seed: int; another seed draws other items.

    Returns:
        `Split`.

    Raises:
        ValueError: if the shares leave a part empty.
    """
    _check_shares(test, validation)
    log = dataset.interactions
    part = _draw(log["item"].to_numpy(), test, validation, seed)[log["item"]]
    known = np.zeros(dataset.n_users, bool)
    known[log["user"].to_numpy()[part == 0]] = True
    unknown = (part > 0) & ~known[log["user"]]
    reason = np.where(unknown, "user without an interaction in train", "")
    return _split(dataset, part, ("cold items", "warm users", "pairs apart"), reason=reason)


def user_cold_start_split(dataset, *, test=0.2, validation=0.1, given=0.0, seed=0):
    """Hold out whole users, drawn at random.

    Args:
        dataset: `Dataset`.
        test: share of the users with an interaction that are test's, in (0, 1).
        validation: share of them that are validation's.
        given: share of each held-out user's interactions, the earliest ones, that are `given`:
            shown when recommending to that user. 0 asks what to show a stranger.
        seed: int; another seed draws other users.

    Returns:
        `Split`.

    Raises:
        ValueError: if the shares leave a part empty.
    """
    _check_shares(test, validation)
    users = dataset.interactions["user"].to_numpy()
    return _hold_out_users(dataset, _draw(users, test, validation, seed)[users], given)


def kfold_split(dataset, *, k=5, given=0.8, seed=0):
    """Cut the users into k groups; each is test once, and the next one is validation then.

    Args:
        dataset: `Dataset`.
        k: number of groups, at least 3.
        given: share of each held-out user's interactions, the earliest ones, that are shown when
            recommending to that user (strong generalisation).
        seed: int; another seed draws other groups.

    Returns:
        List of k splits, each a `Split`, whose tests together hold every user once.

    Raises:
        ValueError: if there are fewer than k users with an interaction.
    """
    users = dataset.interactions["user"].to_numpy()
    chosen = np.unique(users)
    if not 3 <= k <= len(chosen):
        raise ValueError(
            f"Expected `k` from 3 to {len(chosen)}, the number of users with an interaction. "
            f"Received: {k}."
        )
    group = np.zeros(dataset.n_users, int)
    group[chosen[np.argsort(random_bits(seed, chosen))]] = np.arange(len(chosen)) % k
    # Counted from the fold, group 0 is test, group 1 validation, and the others are train.
    part = np.array([2, 1] + [0] * (k - 2))
    return [_hold_out_users(dataset, part[(group[users] - fold) % k], given) for fold in range(k)]


def check_no_leakage(split, dataset):
    """Raise an error if a part of a split tells what another part is to be measured on.

    Holds for every split: each interaction of the data set stands in exactly one part, unaltered.
    The others are asked for by `split.promises`:

    - "pairs apart": no (user, item) pair is both learned from, or given, and measured on.
    - "one time for all": train ends before validation begins, validation before test begins.
    - "one time a user": the same for each user, where the same second is allowed.
    - "cold items": no item of one part is in another.
    - "warm users": each user of validation and test is in train.
    - "cold users": no user of one part is in another; those of `given` are not in train.
    - "given first": what is given of a user comes before the user's other interactions, where the
      same second is allowed.

    Args:
        split: `Split`.
        dataset: the `Dataset` that it was made from.

    Raises:
        ValueError: with the promise that is broken, how often, and the first row that breaks it.
    """
    parts = [getattr(split, name) for name in _PARTS]
    rows = pd.concat([*parts, split.excluded.drop(columns="reason")]).sort_index()
    if not rows.equals(dataset.interactions):
        raise ValueError("Expected the parts of a split to hold each interaction exactly once.")
    for promise in split.promises:
        rows_that_break, pairs = _PROMISES[promise]
        for earlier, later in pairs:
            rows = rows_that_break(getattr(split, earlier), getattr(split, later))
            if len(rows):
                raise ValueError(
                    f"Leak: {len(rows)} rows of {later} break {promise!r} with {earlier}. "
                    f"The first: row {rows.index[0]}, {rows.iloc[0].to_dict()}."
                )


def _repeated_pairs(earlier, later):
    known = pd.MultiIndex.from_frame(earlier[["user", "item"]])
    return later[pd.MultiIndex.from_frame(later[["user", "item"]]).isin(known)]


def _not_after_all(earlier, later):
    return later[later["timestamp"] <= earlier["timestamp"].max()]


def _before_own_last(earlier, later):
    return later[later["timestamp"] < later["user"].map(earlier.groupby("user")["timestamp"].max())]


def _known_items(earlier, later):
    return later[later["item"].isin(earlier["item"])]


def _known_users(earlier, later):
    return later[later["user"].isin(earlier["user"])]


def _unknown_users(earlier, later):
    return later[~later["user"].isin(earlier["user"])]


_PARTS = ("train", "validation", "test", "given")
_FROM_TRAIN = [("train", "validation"), ("train", "test")]
_IN_ORDER = [*_FROM_TRAIN, ("validation", "test")]
_FROM_GIVEN = [("given", "validation"), ("given", "test")]
# What each promise forbids, as the rows of the second part that break it with the first.
_PROMISES = {
    "pairs apart": (_repeated_pairs, _IN_ORDER + _FROM_GIVEN),
    "one time for all": (_not_after_all, _IN_ORDER),
    "one time a user": (_before_own_last, _IN_ORDER),
    "given first": (_before_own_last, _FROM_GIVEN),
    "cold items": (_known_items, _IN_ORDER),
    "cold users": (_known_users, [*_IN_ORDER, ("train", "given")]),
    "warm users": (_unknown_users, _FROM_TRAIN),
}


def _split(dataset, part, promises, *, given=False, reason=""):
    """Make a checked `Split` of arrays with one entry an interaction.

    Args:
        dataset: `Dataset`.
        part: 0 for train, 1 for validation, 2 for test.
        promises: as in `Split`.
        given: bool; True moves the row to `given`.
        reason: str; one that is not empty excludes the row.
    """
    log = dataset.interactions
    given, reason = (
        np.broadcast_to(given, len(log)),
        np.broadcast_to(reason, len(log)).astype(object),
    )
    level = np.where(given, 0, part)
    pair = log["user"].to_numpy(np.int64) * dataset.n_items + log["item"].to_numpy()
    first = pd.Series(level).groupby(pair).transform("min").to_numpy()
    reason[(reason == "") & (level > first)] = "pair stands in an earlier part"
    kept = reason == ""
    train, validation, test = (log[kept & ~given & (part == i)] for i in range(3))
    excluded = log[~kept].assign(reason=reason[~kept])
    split = Split(promises, train, validation, test, log[kept & given], excluded)
    for name in ("train", "test"):
        if getattr(split, name).empty:
            raise ValueError(f"The {len(log)} interactions and these shares leave {name} empty.")
    check_no_leakage(split, dataset)
    return split


def _hold_out_users(dataset, part, given):
    """Make a `Split` whose validation and test users are strangers, but for what is `given`."""
    if not 0 <= given < 1:
        raise ValueError(f"Expected `given` in [0, 1). Received: {given}.")
    rank, size = _rank_and_size(dataset.interactions)
    shown = (part > 0) & (rank < _floor(size * given))
    return _split(dataset, part, ("cold users", "given first", "pairs apart"), given=shown)


def _draw(ids, test, validation, seed):
    """Return an array that gives a part, 0, 1 or 2, for each of the distinct `ids`."""
    distinct = np.unique(ids)
    shuffled = distinct[np.argsort(random_bits(seed, distinct))]
    n_test, n_validation = (round(share * len(distinct)) for share in (test, validation))
    part = np.zeros(distinct.max(initial=-1) + 1, int)
    part[shuffled[: n_test + n_validation]] = 1
    part[shuffled[:n_test]] = 2
    return part


def _rank_and_size(log):
    """Return for each row its place in its user's time order, from 0, and the user's row count."""
    user = log["user"].to_numpy()
    order = np.lexsort((log["timestamp"].to_numpy(), user))
    size = np.bincount(user)
    rank = np.empty(len(log), int)
    rank[order] = np.arange(len(log)) - np.repeat(np.cumsum(size) - size, size)
    return rank, size[user]


def _floor(x):
    """Round down, but for what binary fractions lose: 10 × (1 − 0.7) gives 3."""
    return np.floor(x + 1e-9)


def _check_shares(test, validation):
    if not (0 < test < 1 and 0 <= validation < 1 - test):
        raise ValueError(
            "Expected `test` in (0, 1) and `validation` in [0, 1 - test). "
            f"Received: {test} and {validation}."
        )
