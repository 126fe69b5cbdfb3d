"""What the tests of all generated worlds ask: the same bytes, and no way from data to the truth."""

import gc
import hashlib
import types

import numpy as np

from mmrec_tf.datasets.catalog import CatalogTruth

_SKIPPED = (types.ModuleType, type, types.CodeType, types.BuiltinFunctionType)


def checksum(dataset, *, modality=None):
    """Return the SHA-256 of all tables, of some texts, and of some content of a modality."""
    digest = hashlib.sha256()
    for frame in (dataset.users, dataset.items, dataset.interactions):
        for column in (frame.index, *(frame[name] for name in frame)):
            digest.update("\n".join(map(str, [column.name, *column.tolist()])).encode())
    some = np.array([3, 77, dataset.n_items - 1])
    digest.update("\n".join(dataset.modalities["text"][some]).encode())
    if modality:
        digest.update(dataset.modalities[modality][some].tobytes())
    return digest.hexdigest()


def linked(a, b):
    """Return a correlation in units of what chance makes; below 4 there is none."""
    return abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(len(a))


def bad_sizes(least_items, least_users):
    """Return arguments that no world takes, with the error and the message of each."""
    few = {"n_items": least_items, "n_users": least_users, "seed": 0}
    below = [
        ({name: least - 1}, ValueError, rf"`{name}` in \[{least}, 2\*\*31\). Received: {least - 1}")
        for name, least in few.items()
    ]
    return [
        *below,
        ({"n_items": 300.0}, TypeError, r"`n_items` to be an int. Received: 300.0"),
        ({"seed": True}, TypeError, r"`seed` to be an int. Received: True"),
    ]


def assert_out_of_reach(dataset, truth, *secrets):
    """Follow all references from a data set, and meet neither a truth nor one of its arrays."""
    catalog = truth.catalog
    secrets = [*secrets, catalog.popularity, *catalog.tastes.values()]
    secrets += [catalog.attributes[name].cat.codes for name in catalog.attributes]
    secrets = {np.asarray(values).astype(float).tobytes() for values in secrets}
    for modality in dataset.modalities.values():
        modality[[0]]  # what reading leaves behind
    seen, todo = set(), [dataset]
    while todo:
        found = []
        for thing in todo:
            if id(thing) in seen or isinstance(thing, _SKIPPED):
                continue
            seen.add(id(thing))
            assert not isinstance(thing, type(truth) | CatalogTruth)
            if isinstance(thing, np.ndarray) and thing.dtype.kind in "fiub":
                assert thing.astype(float).tobytes() not in secrets
            if isinstance(thing, types.FunctionType):
                found += [thing.__closure__, thing.__defaults__]
            else:
                found += gc.get_referents(thing)
        todo = found
    assert len(seen) > 100
