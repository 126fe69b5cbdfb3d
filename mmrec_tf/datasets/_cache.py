"""Where downloaded and generated data is kept between runs."""

import os
from pathlib import Path


def cache_folder():
    """Return the folder: `$MMREC_TF_CACHE`, or the user's cache directory of this system."""
    import pooch

    return Path(os.environ.get("MMREC_TF_CACHE") or pooch.os_cache("mmrec_tf"))
