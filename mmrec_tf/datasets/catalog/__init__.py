"""The generated catalogue: a shop with known truth, and the parts that such worlds are made of."""

from mmrec_tf.datasets.catalog.attributes import ATTRIBUTES, Attribute, CatalogTruth
from mmrec_tf.datasets.catalog.shop import load_catalog, load_catalog_truth

__all__ = ["ATTRIBUTES", "Attribute", "CatalogTruth", "load_catalog", "load_catalog_truth"]
