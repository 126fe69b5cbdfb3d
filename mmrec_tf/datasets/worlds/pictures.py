"""Pictures whose colour alone means something."""

import numpy as np

from mmrec_tf.datasets.catalog import ATTRIBUTES
from mmrec_tf.datasets.catalog.arithmetic import choice
from mmrec_tf.datasets.catalog.attributes import draw_codes
from mmrec_tf.datasets.catalog.images import SILHOUETTES, render_images
from mmrec_tf.datasets.catalog.stored import rendered_modality

COLOUR = next(attribute for attribute in ATTRIBUTES if attribute.name == "colour")
_PATTERNS = next(len(attribute.values) for attribute in ATTRIBUTES if attribute.name == "pattern")


def colour_pictures(world, seed, key, n_items):
    """Return the modality of pictures that show each item's `COLOUR`, as `draw_codes` draws it.

    The thing in a picture and its pattern mean nothing.

    Args:
        world: name and version, such as `"news-v1"`; caches go by it.
        seed: the world's seed.
        key: what the random numbers of things and patterns are for.
        n_items: number of items.
    """

    def draw(items):
        colour = draw_codes(seed, items, COLOUR)
        pattern = choice(_PATTERNS, (seed, key, 0), items)
        thing = choice(len(SILHOUETTES), (seed, key, 1), items)
        return render_images(seed, items, colour, pattern, thing)

    file = f"{world}-seed{seed}-{n_items}-image.npy"
    return rendered_modality(file, (n_items, 64, 64, 3), np.uint8, draw)
