"""A trained model as a service: what it needs to answer, what it must not lose, and HTTP."""

from mmrec_tf.serving.app import create_app
from mmrec_tf.serving.servable import Servable, load_servable

__all__ = ["Servable", "create_app", "load_servable"]
