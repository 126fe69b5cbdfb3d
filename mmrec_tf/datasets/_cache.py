"""Where downloaded and generated data is kept between runs."""

import os
from pathlib import Path

import platformdirs


def cache_folder():
    """Return the folder: `$MMREC_TF_CACHE`, or the user's cache directory of this system."""
    return Path(os.environ.get("MMREC_TF_CACHE") or platformdirs.user_cache_dir("mmrec_tf"))
