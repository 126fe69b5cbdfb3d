"""Let autodoc import TensorFlow, for the pages of the API, without its start-up messages.

They would read like warnings of the book.
"""

import os


def setup(app):
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
