import builtins
import csv
import io
import os
import struct
import tempfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import wavfile

from mmrec_tf.datasets import folder as folder_module
from mmrec_tf.datasets.faults import FolderError, FolderWarning
from mmrec_tf.datasets.folder import check_folder, load_folder
from mmrec_tf.datasets.media import check_video
from mmrec_tf.datasets.tables import nfc

ITEMS = "item_id,title\nmug,A mug\nlamp,A lamp\n"
LOG = "user_id,item_id,timestamp\nann,mug,0\nbo,lamp,60\n"
HEAD = "user_id,item_id,timestamp\n"
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)


def png(pixels=PIXELS, form="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


SILENCE = np.zeros(16_000, np.int16)


def wav(samples=SILENCE, rate=16_000):
    buffer = io.BytesIO()
    wavfile.write(buffer, rate, samples)
    return buffer.getvalue()


def gif(frames):
    buffer = io.BytesIO()
    first, *rest = map(Image.fromarray, frames)
    first.save(buffer, "GIF", save_all=True, append_images=rest, optimize=False, disposal=1)
    return buffer.getvalue()


def clip(n_frames, colour=lambda k: [10 * k, 0, 255 - 10 * k], size=(32, 32)):
    return [np.full((*size, 3), colour(k), np.uint8) for k in range(n_frames)]


def make(folder, files):
    """Write a small sound shop, changed by `files`: path to text or bytes, None to leave out."""
    for name, content in ({"items.csv": ITEMS, "interactions.csv": LOG} | files).items():
        if content is not None:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def places(faults):
    return [(f.file, f.line, f.column, f.value, f.kind) for f in faults]


# --- Faults -------------------------------------------------------------------------------------

LOG_FILE, ITEMS_FILE, USERS_FILE = "interactions.csv", "items.csv", "users.csv"

# What is changed; the faults; the (user, item) pairs that are left without them, None if nothing
# can be loaded.
TABLE_FAULTS = {
    "no interactions": ({LOG_FILE: None}, [(LOG_FILE, None, None, None, "missing file")], None),
    "no items": ({ITEMS_FILE: None}, [(ITEMS_FILE, None, None, None, "missing file")], None),
    "misnamed table": (
        {ITEMS_FILE: None, "Items.CSV": ITEMS},
        [
            ("Items.CSV", None, None, None, "similar name"),
            (ITEMS_FILE, None, None, None, "missing file"),
        ],
        None,
    ),
    "misnamed folder": (
        {"image/mug.png": png()},
        [("image", None, None, None, "similar name")],
        ["ann mug", "bo lamp"],
    ),
    "empty": ({LOG_FILE: ""}, [(LOG_FILE, None, None, None, "empty file")], None),
    "only blank lines": ({LOG_FILE: "\n\n"}, [(LOG_FILE, None, None, None, "empty file")], None),
    "header only": ({LOG_FILE: HEAD}, [(LOG_FILE, None, None, None, "no rows")], None),
    "UTF-16": (
        {ITEMS_FILE: ITEMS.encode("utf-16")},
        [(ITEMS_FILE, 1, None, "UTF-16", "wrong encoding")],
        None,
    ),
    "Latin-1": (
        {ITEMS_FILE: "item_id,title\nmug,A mug\nlamp,Déco\n".encode("latin-1")},
        [(ITEMS_FILE, 3, None, "byte 0xe9", "wrong encoding")],
        None,
    ),
    "semicolons": (
        {ITEMS_FILE: "item_id;title\nmug;A mug\n"},
        [(ITEMS_FILE, 1, None, "item_id;title", "wrong separator")],
        None,
    ),
    "misspelt column": (
        {LOG_FILE: "user_id,itemId,timestamp\nann,mug,0\n"},
        [(LOG_FILE, 1, "item_id", "user_id, itemId, timestamp", "missing column")],
        None,
    ),
    "two columns missing": (
        {LOG_FILE: "user_id,when\nann,0\n"},
        [
            (LOG_FILE, 1, "item_id", "user_id, when", "missing column"),
            (LOG_FILE, 1, "timestamp", "user_id, when", "missing column"),
        ],
        None,
    ),
    "repeated column": (
        {ITEMS_FILE: "item_id,title,title\nmug,A,B\n"},
        [(ITEMS_FILE, 1, "title", "title", "repeated column")],
        None,
    ),
    "unknown column": (
        {LOG_FILE: "user_id,item_id,timestamp,session\nann,mug,0,s1\n"},
        [(LOG_FILE, 1, "session", "session", "unknown column")],
        ["ann mug"],
    ),
    "nearly an optional column": (
        {LOG_FILE: "user_id,item_id,timestamp,Ratings\nann,mug,0,5\n"},
        [(LOG_FILE, 1, "Ratings", "Ratings", "similar column")],
        ["ann mug"],
    ),
    "unnamed column": (
        {ITEMS_FILE: ",item_id,title\n0,mug,A mug\n1,lamp,A lamp\n"},
        [(ITEMS_FILE, 1, "", "", "unnamed column")],
        ["ann mug", "bo lamp"],
    ),
    "formula as a column's name": (
        {ITEMS_FILE: "item_id,title,=A1\nmug,A mug,x\nlamp,A lamp,y\n"},
        [(ITEMS_FILE, 1, "=A1", "=A1", "formula")],
        ["ann mug", "bo lamp"],
    ),
    "ragged rows": (
        {LOG_FILE: HEAD + "ann,mug,0\nann,mug\nbo,lamp,5,6\n"},
        [
            (LOG_FILE, 3, None, "ann,mug", "ragged row"),
            (LOG_FILE, 4, None, "bo,lamp,5,6", "ragged row"),
        ],
        ["ann mug"],
    ),
    "all rows ragged": (
        {LOG_FILE: HEAD + "ann,mug\n"},
        [(LOG_FILE, None, None, None, "no rows"), (LOG_FILE, 2, None, "ann,mug", "ragged row")],
        None,
    ),
    "text behind a closed quote": (
        {ITEMS_FILE: 'item_id,title\nmug,"A "red" mug"\nlamp,A lamp\n'},
        [
            (ITEMS_FILE, 2, None, None, "bad quotes"),
            (LOG_FILE, 2, "item_id", "mug", "unknown item"),
        ],
        ["bo lamp"],
    ),
    "quote that is never closed": (
        {ITEMS_FILE: 'item_id,title\nmug,A mug\nlamp,"A lamp\nbowl,A bowl\n'},
        [(ITEMS_FILE, 3, None, None, "bad quotes")],
        None,
    ),
    "unclosed quote in the header": (
        {ITEMS_FILE: '"item_id,title\nmug,A mug\n'},
        [(ITEMS_FILE, 1, None, None, "bad quotes")],
        None,
    ),
    "lines after a quoted newline": (
        {ITEMS_FILE: 'item_id,title\r\nmug,"A\r\nmug"\r\n\r\nlamp,=A()\r\n'},
        [
            (ITEMS_FILE, 5, "title", "=A()", "formula"),
            (LOG_FILE, 3, "item_id", "lamp", "faulty row"),
        ],
        ["ann mug"],
    ),
    "empty values": (
        {
            LOG_FILE: "user_id,item_id,timestamp,rating\nann,mug,0,\n,mug,1,2\nann,,1,2\n"
            "ann, ,,2\nbo,lamp,1,1\n"
        },
        [
            (LOG_FILE, 2, "rating", "", "empty value"),
            (LOG_FILE, 3, "user_id", "", "empty value"),
            (LOG_FILE, 4, "item_id", "", "empty value"),
            (LOG_FILE, 5, "item_id", " ", "empty value"),
            (LOG_FILE, 5, "timestamp", "", "empty value"),
        ],
        ["bo lamp"],
    ),
    "NUL bytes": (
        {LOG_FILE: HEAD + "ann\0,mug,0\nbo,lamp,60\0\nann,mug,1\n"},
        [
            (LOG_FILE, 2, "user_id", "ann\0", "NUL byte"),
            (LOG_FILE, 3, "timestamp", "60\0", "bad timestamp"),
        ],
        ["ann mug"],
    ),
    "formulas": (
        {
            ITEMS_FILE: "item_id,title,note\n"
            'mug,A mug,-3.5\nlamp,A lamp,+1e3\na,@SUM(1),=1\nb,B,-cmd\nc,C,\tx\nd,D,"\rx"\ne,-,@\n'
        },
        [
            (ITEMS_FILE, 4, "title", "@SUM(1)", "formula"),
            (ITEMS_FILE, 4, "note", "=1", "formula"),
            (ITEMS_FILE, 5, "note", "-cmd", "formula"),
            (ITEMS_FILE, 6, "note", "\tx", "formula"),
            (ITEMS_FILE, 7, "note", "\rx", "formula"),
        ],
        ["ann mug", "bo lamp"],
    ),
    "unknown items": (
        {LOG_FILE: HEAD + "ann,mug,0\nann,mugg,1\nann,Mug,2\nbo,lamp,3\n"},
        [
            (LOG_FILE, 3, "item_id", "mugg", "unknown item"),
            (LOG_FILE, 4, "item_id", "Mug", "unknown item"),
        ],
        ["ann mug", "bo lamp"],
    ),
    "unknown user": (
        {USERS_FILE: "user_id,age\nann,30\ncy,40\n"},
        [(LOG_FILE, 3, "user_id", "bo", "unknown user")],
        ["ann mug"],
    ),
    "faulty user": (
        {USERS_FILE: "user_id,city\nann,=1+1\nbo,Oslo\n"},
        [(USERS_FILE, 2, "city", "=1+1", "formula"), (LOG_FILE, 2, "user_id", "ann", "faulty row")],
        ["bo lamp"],
    ),
    "repeated ids": (
        {ITEMS_FILE: ITEMS + "mug,Another\n", USERS_FILE: "user_id\nann\nbo\nann\n"},
        [
            (ITEMS_FILE, 4, "item_id", "mug", "repeated id"),
            (USERS_FILE, 4, "user_id", "ann", "repeated id"),
        ],
        ["ann mug", "bo lamp"],
    ),
    "Unicode forms of an item id": (
        {ITEMS_FILE: ITEMS + "cafe\u0301,A\ncaf\u00e9,B\n"},
        [(ITEMS_FILE, 5, "item_id", "caf\u00e9", "id not distinct")],
        ["ann mug", "bo lamp"],
    ),
    "Unicode forms of a user id": (
        {LOG_FILE: HEAD + "\u00e9,mug,0\ne\u0301,lamp,0\n\u00e9,lamp,9\n"},
        [(LOG_FILE, 3, "user_id", "e\u0301", "id not distinct")],
        ["\u00e9 mug", "\u00e9 lamp"],
    ),
    "bad timestamps": (
        {
            LOG_FILE: HEAD + "ann,mug,0\nann,mug,yesterday\nann,mug,-1\nann,mug,1700000000000\n"
            f"ann,mug,{10**18}\nann,mug,{'9' * 5000}\nann,mug,1.7e9\nbo,lamp,60\n"
            f"ann,mug,-{'9' * 5000}\n"
        },
        [
            (LOG_FILE, 3, "timestamp", "yesterday", "bad timestamp"),
            (LOG_FILE, 4, "timestamp", "-1", "bad timestamp"),
            (LOG_FILE, 5, "timestamp", "1700000000000", "bad timestamp"),
            (LOG_FILE, 6, "timestamp", str(10**18), "bad timestamp"),
            (LOG_FILE, 7, "timestamp", "9" * 5000, "bad timestamp"),
            (LOG_FILE, 8, "timestamp", "1.7e9", "bad timestamp"),
            (LOG_FILE, 10, "timestamp", "-" + "9" * 5000, "bad timestamp"),
        ],
        ["ann mug", "bo lamp"],
    ),
    "no day": (
        {
            LOG_FILE: HEAD
            + "ann,mug,2024-02-30\nbo,lamp,2024-02-29\nbo,mug,1969-12-31\nbo,mug,01/02/2024\n"
        },
        [
            (LOG_FILE, 2, "timestamp", "2024-02-30", "bad timestamp"),
            (LOG_FILE, 4, "timestamp", "1969-12-31", "bad timestamp"),
            (LOG_FILE, 5, "timestamp", "01/02/2024", "bad timestamp"),
        ],
        ["bo lamp"],
    ),
    "dates without hyphens": (
        {LOG_FILE: HEAD + "ann,mug,20240501\nbo,lamp,20240502\n"},
        [
            (LOG_FILE, 2, "timestamp", "20240501", "bad timestamp"),
            (LOG_FILE, 3, "timestamp", "20240502", "bad timestamp"),
        ],
        None,
    ),
    "two kinds of timestamps": (
        {LOG_FILE: HEAD + "ann,mug,2024-05-01\nbo,lamp,5\nbo,mug,6\n"},
        [(LOG_FILE, 2, "timestamp", "2024-05-01", "mixed timestamps")],
        ["bo lamp", "bo mug"],
    ),
    "with and without an offset": (
        {
            LOG_FILE: HEAD
            + "ann,mug,2024-05-01T00:00Z\nbo,lamp,2024-05-01T00:00Z\nbo,mug,2024-05-01T00:00\n"
        },
        [(LOG_FILE, 4, "timestamp", "2024-05-01T00:00", "mixed timestamps")],
        ["ann mug", "bo lamp"],
    ),
    "bad numbers": (
        {
            LOG_FILE: "user_id,item_id,timestamp,rating,weight\nann,mug,0,nan,1\nann,mug,1,1e39,1\n"
            "ann,mug,2,5,-1\nann,mug,3,1_0,inf\nbo,lamp,4,-2.5,0\n"
        },
        [
            (LOG_FILE, 2, "rating", "nan", "bad rating"),
            (LOG_FILE, 3, "rating", "1e39", "bad rating"),
            (LOG_FILE, 4, "weight", "-1", "bad weight"),
            (LOG_FILE, 5, "rating", "1_0", "bad rating"),
            (LOG_FILE, 5, "weight", "inf", "bad weight"),
        ],
        ["bo lamp"],
    ),
    "repeated interaction": (
        {LOG_FILE: LOG + "ann,mug,0\nann,mug,00\nann,mug,1\n"},
        [
            (LOG_FILE, 4, "timestamp", "0", "repeated interaction"),
            (LOG_FILE, 5, "timestamp", "00", "repeated interaction"),
        ],
        ["ann mug", "bo lamp", "ann mug"],
    ),
    "repeated interaction at a time of day": (
        {
            LOG_FILE: HEAD + "ann,mug,2024-05-01\nann,mug,2024-05-01T00:00:00\n"
            "ann,mug,2024-05-01T00:00\nbo,lamp,2024-05-01T09:30\nbo,lamp,2024-05-01T09:30:00.5\n"
        },
        [
            (LOG_FILE, 4, "timestamp", "2024-05-01T00:00", "repeated interaction"),
            (LOG_FILE, 6, "timestamp", "2024-05-01T09:30:00.5", "repeated interaction"),
        ],
        ["ann mug", "ann mug", "bo lamp"],
    ),
    "nothing left": (
        {LOG_FILE: HEAD + "ann,a,0\nann,b,0\n"},
        [
            (LOG_FILE, 2, "item_id", "a", "unknown item"),
            (LOG_FILE, 3, "item_id", "b", "unknown item"),
        ],
        None,
    ),
    "several files": (
        {LOG_FILE: HEAD + "ann,mug,x\n", ITEMS_FILE: "item_id,title\n", USERS_FILE: "name\n"},
        [
            (ITEMS_FILE, None, None, None, "no rows"),
            (USERS_FILE, 1, "user_id", "name", "missing column"),
            (LOG_FILE, 2, "timestamp", "x", "bad timestamp"),
        ],
        None,
    ),
}

JPEG = png(form="JPEG")
GIF = gif(clip(3))


def changed(data, at, form, *values):
    return data[:at] + struct.pack(form, *values) + data[at + struct.calcsize(form) :]


def png_that_claims(width, height):
    header = b"IHDR" + struct.pack(">II", width, height) + png()[24:29]
    return png()[:12] + header + struct.pack(">I", zlib.crc32(header)) + png()[33:]


MEDIA_FAULTS = {
    "images/mug.jpg": {
        "empty": (b"", "empty file"),
        "text": (b"not a picture at all", "not an image"),
        "another format": (png(form="GIF"), "not an image"),
        "cut in the header": (JPEG[:100], "truncated image"),
        "cut in the data": (JPEG[: len(JPEG) // 2], "truncated image"),
        "cut at the end": (JPEG[:-2], "truncated image"),
        "zeros at the end": (JPEG[:-40] + bytes(40), "truncated image"),
    },
    "images/mug.png": {
        "cut in the header": (png()[:20], "truncated image"),
        "cut in the data": (png()[:-200], "truncated image"),
        "cut at the end": (png()[:-12], "truncated image"),
        "flipped bit": (changed(png(), 200, "B", png()[200] ^ 1), "truncated image"),
        "bomb": (png_that_claims(40_000, 40_000), "too large"),
        "smaller bomb": (png_that_claims(10_000, 10_000), "too large"),
    },
    "audio/mug.wav": {
        "empty": (b"", "empty file"),
        "an MP3": (b"ID3\x04" + bytes(100), "not a wav"),
        "big-endian": (b"RIFX" + wav()[4:], "not a wav"),
        "no samples": (wav(np.zeros(0, np.int16)), "empty audio"),
        "cut in the header": (wav()[:30], "truncated audio"),
        "cut before the samples": (wav()[:36], "truncated audio"),
        "cut in the samples": (wav()[:-2], "truncated audio"),
        "half a sample": (changed(wav(), 40, "<I", 31_999), "bad audio"),
        "compressed": (changed(wav(), 20, "<H", 2), "bad audio"),
        "no channel": (changed(wav(), 22, "<H", 0), "bad audio"),
        "no rate": (changed(wav(), 24, "<I", 0), "bad audio"),
        "rate of gigahertz": (changed(wav(), 24, "<I", 4 * 10**9), "bad audio"),
        "12 bits": (changed(wav(), 34, "<H", 12), "bad audio"),
        "short format": (changed(wav(), 16, "<I", 8), "bad audio"),
        "samples before their format": (wav()[:12] + wav()[36:], "bad audio"),
    },
    "video/mug.gif": {
        "empty": (b"", "empty file"),
        "a picture": (png(), "not a gif"),
        "no frame": (changed(GIF[:13], 10, "B", 0) + b";", "no frames"),
        "cut in the header": (GIF[:10], "truncated video"),
        "cut in a frame": (GIF[:-40], "truncated video"),
        "cut at the end": (GIF[:-1], "truncated video"),
        "no block": (GIF[:-1] + b"\x01;", "bad video"),
        "vast canvas": (changed(GIF, 6, "<HH", 65_535, 65_535), "too large"),
        "vast frame": (
            changed(GIF, GIF.index(b"\x2c\0\0\0\0\x20\0") + 1, "<4H", 65_000, 65_000, 32, 32),
            "too large",
        ),
        "many frames": (
            changed(GIF[:13], 6, "<HHB", 9_000, 9_000, 0)
            + 60 * (b"," + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x00")
            + b";",
            "too large",
        ),
    },
}
MEDIA_CASES = [
    pytest.param(file, content, kind, id=f"{file}: {name}")
    for file, cases in MEDIA_FAULTS.items()
    for name, (content, kind) in cases.items()
]


GOOD = {"jpg": JPEG, "png": png(), "wav": wav(), "gif": GIF}


def assert_reported(folder, expected):
    with warnings.catch_warnings(record=True) as caught_warnings:
        faults = check_folder(folder)
    assert not caught_warnings
    assert places(faults) == expected
    with pytest.raises(FolderError) as caught:
        load_folder(folder)
    assert caught.value.faults == faults
    for fault in faults:
        assert fault.file in str(caught.value)
        assert fault.kind in str(caught.value)


@pytest.mark.parametrize(("files", "expected", "left"), TABLE_FAULTS.values(), ids=TABLE_FAULTS)
def test_table_fault(tmp_path, files, expected, left):
    make(tmp_path, files)
    assert_reported(tmp_path, expected)
    if left is None:
        with pytest.raises(FolderError, match="nothing can be loaded"):
            load_folder(tmp_path, skip_faulty=True)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_folder(tmp_path, skip_faulty=True)
    (warning,) = [each.message for each in caught if isinstance(each.message, FolderWarning)]
    assert places(warning.faults) == expected
    log = data.interactions
    pairs = [
        f"{data.users.index[user]} {data.items.index[item]}"
        for user, item in zip(log["user"], log["item"], strict=True)
    ]
    assert pairs == left
    if USERS_FILE not in files:
        assert list(data.users.index) == sorted({pair.split()[0] for pair in left})


@pytest.mark.parametrize(("file", "content", "kind"), MEDIA_CASES)
def test_media_fault(tmp_path, file, content, kind):
    make(tmp_path, {file: content, file.replace("mug", "lamp"): GOOD[file[-3:]]})
    assert_reported(tmp_path, [(file, None, None, None, kind)])
    with pytest.warns(FolderWarning):
        data = load_folder(tmp_path, skip_faulty=True)
    name = {"images": "image"}.get(file.split("/")[0], file.split("/")[0])
    np.testing.assert_array_equal(data.modalities[name].present, [False, True])


def test_files_that_belong_to_no_item(tmp_path):
    files = {
        "images/mug.gif": b"x",
        "images/lamp.PNG": png(),
        "images/lamp.jpg": JPEG,
        "images/bowl.png": png(),
        "images/MUG.png": png(),
        "images/.DS_Store": b"x",
        "images/Thumbs.db": b"x",
    }
    make(tmp_path, files)
    (tmp_path / "images" / "more").mkdir()
    (tmp_path / "images" / "mug.png").mkdir()
    expected = [
        ("images/MUG.png", None, None, "MUG", "unknown item"),
        ("images/bowl.png", None, None, "bowl", "unknown item"),
        ("images/lamp.jpg", None, None, "lamp", "two files"),
        ("images/more", None, None, "more", "wrong file name"),
        ("images/mug.gif", None, None, "mug.gif", "wrong file name"),
        ("images/mug.png", None, None, None, "unreadable"),
    ]
    assert_reported(tmp_path, expected)
    hints = [fault.message for fault in check_folder(tmp_path)]
    assert hints[0] == "Not in items.csv, which has 'mug'"
    assert hints[2] == "Expected one file an item. lamp.PNG is another"


def test_file_of_a_faulty_item(tmp_path):
    make(tmp_path, {"items.csv": ITEMS.replace("A mug", "=A"), "images/mug.png": png()})
    assert places(check_folder(tmp_path)) == [
        ("items.csv", 2, "title", "=A", "formula"),
        ("interactions.csv", 2, "item_id", "mug", "faulty row"),
        ("images/mug.png", None, None, "mug", "faulty row"),
    ]


def test_ids_that_cannot_name_a_file(tmp_path):
    ids = ["../mug", "a/b", "..", ".hidden", "x" * 251]
    rows = "".join(f"{each},T\n" for each in ids)
    make(tmp_path, {"items.csv": ITEMS + rows})
    assert check_folder(tmp_path) == []
    make(tmp_path, {"items.csv": ITEMS + rows, "images/mug.png": png()})
    assert places(check_folder(tmp_path)) == [
        ("items.csv", line, "item_id", each, "no file name") for line, each in enumerate(ids, 4)
    ]


def test_ids_that_differ_in_case_need_a_disk_that_tells_them_apart(tmp_path, monkeypatch):
    make(tmp_path, {"items.csv": ITEMS + "MUG,Another\n"})
    monkeypatch.setattr(folder_module, "_ignores_case", lambda root, names: True)
    assert check_folder(tmp_path) == []
    make(tmp_path, {"items.csv": ITEMS + "MUG,Another\n", "images/mug.png": png()})
    assert places(check_folder(tmp_path)) == [("items.csv", 4, "item_id", "MUG", "id not distinct")]


def test_what_leads_out_of_the_folder(tmp_path):
    outside = make(tmp_path / "outside", {"images/lamp.png": png(), "users.csv": "user_id\nx\n"})
    shop = make(tmp_path / "shop", {"images/mug.png": png()})
    (shop / "images" / "lamp.png").symlink_to(outside / "images" / "lamp.png")
    (shop / "users.csv").symlink_to(outside / "users.csv")
    (shop / "audio").symlink_to(outside / "images", target_is_directory=True)
    assert_reported(
        shop,
        [
            ("users.csv", None, None, None, "outside"),
            ("images/lamp.png", None, None, None, "outside"),
            ("audio", None, None, None, "outside"),
        ],
    )


def test_links_inside_the_folder_and_to_nowhere(tmp_path):
    make(tmp_path, {"images/mug.png": png()})
    (tmp_path / "images" / "lamp.png").symlink_to("mug.png")
    assert load_folder(tmp_path).modalities["image"].present.all()
    (tmp_path / "images" / "mug.png").unlink()
    assert places(check_folder(tmp_path)) == [("images/lamp.png", None, None, None, "unreadable")]


def test_limit_of_pixels_is_not_pillows_to_lift(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    make(tmp_path, {"images/mug.png": png_that_claims(40_000, 40_000)})
    (fault,) = check_folder(tmp_path)
    assert (fault.kind, "1,600,000,000" in fault.message) == ("too large", True)


def test_no_folder(tmp_path):
    for path in (tmp_path / "nowhere", make(tmp_path, {}) / "items.csv"):
        with pytest.raises(FolderError, match="missing folder"):
            load_folder(path)
    os.mkfifo(tmp_path / "images")
    assert places(check_folder(tmp_path)) == [("images", None, None, None, "unreadable")]
    (tmp_path / "users.csv").mkdir()
    assert ("users.csv", None, None, None, "unreadable") in places(check_folder(tmp_path))


def test_file_that_may_not_be_read(tmp_path, monkeypatch):
    make(tmp_path, {"images/mug.png": png()})

    def deny(path, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mmrec_tf.datasets.media.open", deny, raising=False)
    assert places(check_folder(tmp_path)) == [("images/mug.png", None, None, None, "unreadable")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"interactions.csv": HEAD + "a,007,0\n", "items.csv": "item_id,title\n7,T\n"}, "has '7'"),
        ({"interactions.csv": HEAD + "a,7.0,0\n", "items.csv": "item_id,title\n7,T\n"}, "has '7'"),
        ({"interactions.csv": HEAD + "a,mug ,0\n"}, "'mug '. Not in items.csv, which has 'mug'"),
        (
            {"interactions.csv": HEAD + "a,mug,1700000000000\n"},
            "milliseconds\\? Divide by 1,000\\.",
        ),
        ({"interactions.csv": HEAD + "a,mug,1700000000000000\n"}, "microseconds"),
        ({"interactions.csv": HEAD + "a,mug,1700000000000000000\n"}, "nanoseconds"),
        ({"interactions.csv": HEAD + "a,mug,2100-01-01\n"}, "before the year 2100\\."),
        ({"interactions.csv": LOG + "ann,mug,0\n"}, "Line 2 has the same user, item and time"),
        ({"items.csv": "Item ID,title\nmug,T\n"}, "did you mean item_id by 'Item ID'"),
        ({"items.csv": ITEMS + "mug,T\n"}, "line 4, item_id: 'mug'. It stands on line 2 too"),
        ({"items.csv": f"item_id,title\nmug,{'x' * 200_000}\n"}, "field larger than field limit"),
    ],
)
def test_message_says_what_to_do(tmp_path, files, message):
    with pytest.raises(FolderError, match=message):
        load_folder(make(tmp_path, files))


def test_message_counts_what_it_does_not_list(tmp_path):
    rows = "".join(f"ann,mug,x{k}\n" for k in range(50)) + "ann,mug\n"
    make(tmp_path, {"interactions.csv": LOG + rows})
    with pytest.raises(FolderError) as caught:
        load_folder(tmp_path)
    assert len(caught.value.faults) == 51
    lines = str(caught.value).splitlines()
    assert lines[:2] == ["51 faults:", "bad timestamp (50)"]
    assert len([line for line in lines if "'x" in line]) == 20
    assert lines[22:24] == ["  and 30 more", "ragged row (1)"]


def test_long_and_unprintable_values_are_shown_short(tmp_path):
    make(tmp_path, {"interactions.csv": HEAD + "ann,\x1b[31m" + "x" * 5000 + ",0\n"})
    (tmp_path / "images").mkdir()
    os.close(os.open(os.fsencode(tmp_path / "images") + b"/\xff.png", os.O_CREAT))
    with pytest.raises(FolderError) as caught:
        load_folder(tmp_path)
    message = str(caught.value)
    assert len(message.encode()) < 600
    assert r"'\x1b[31mxxx" in message
    assert r"images/\udcff.png" in message


# --- Tables -------------------------------------------------------------------------------------


def test_ids_and_columns_as_written(tmp_path):
    make(
        tmp_path,
        {
            "items.csv": "item_id,title,year,price,ean,zip,colour,stock,size,nothing\n"
            "007,1984,1949,4.5,12345678901234567890,01234,red,3,1.5,\n"
            "7,1985,2001,-3,12345678901234567891,99999,,,,\n",
            "interactions.csv": HEAD + "2,007,0\n10,7,60\n",
            "users.csv": "user_id,age\n10,30\n2,40\n1,50\n",
        },
    )
    data = load_folder(tmp_path)
    items = data.items
    assert list(items.index) == ["007", "7"]
    assert list(data.users.index) == ["10", "2", "1"]
    assert data.users["age"].tolist() == [30, 40, 50]
    assert data.interactions["user"].tolist() == [1, 0]
    assert data.interactions["item"].tolist() == [0, 1]
    assert data.name == tmp_path.name
    assert items["title"].tolist() == ["1984", "1985"]
    assert items["year"].dtype == np.int64
    assert items["price"].tolist() == [4.5, -3.0]
    assert items["ean"].tolist() == ["12345678901234567890", "12345678901234567891"]
    assert items["zip"].tolist() == ["01234", "99999"]
    assert items["colour"].tolist() == ["red", ""]
    assert items["stock"].tolist() == [3, pd.NA]
    np.testing.assert_array_equal(items["size"], [1.5, np.nan])
    assert items["nothing"].tolist() == ["", ""]


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["9223372036854775807", "-9223372036854775808"], np.int64),
        (["9223372036854775808", "1"], object),
        (["1e400", "1"], object),
        (["1e300", "1"], np.float64),
        (["0.5", "1234567890123456"], object),
        (["NaN", "1"], object),
        (["+5", "1"], object),
        (["0", "-0.5"], np.float64),
    ],
)
def test_numbers_that_would_lose_stay_text(tmp_path, values, dtype):
    rows = "".join(f"{item},T,{v}\n" for item, v in zip(["mug", "lamp"], values, strict=True))
    column = load_folder(make(tmp_path, {"items.csv": "item_id,title,x\n" + rows})).items["x"]
    if dtype is object:
        assert column.tolist() == values
    else:
        assert column.dtype == dtype
        assert column.tolist() == [dtype(value) for value in values]


def test_text_is_title_and_description(tmp_path):
    rows = 'mug,A mug,"Red,\nround"\nlamp,A lamp,\na,,Only this\nb,,\n'
    make(tmp_path, {"items.csv": "item_id,title,description\n" + rows})
    text = load_folder(tmp_path).modalities["text"]
    np.testing.assert_array_equal(text.present, [True, True, True, False])
    assert list(text[np.arange(4)]) == ["A mug\nRed,\nround", "A lamp", "Only this", ""]
    make(tmp_path, {"items.csv": "item_id,title\nmug,\nlamp,\n"})
    assert load_folder(tmp_path).modalities == {}


@pytest.mark.parametrize(
    ("written", "seconds", "warns"),
    [
        ("1700000000", 1_700_000_000, False),
        ("1700000000.9", 1_700_000_000, False),
        ("2023-11-14", 1_699_920_000, False),
        ("2023-11-14T22:13:20Z", 1_700_000_000, False),
        ("2023-11-14 22:13:20.999999999+00", 1_700_000_000, False),
        ("2023-11-15T00:13:20,5+02:00", 1_700_000_000, False),
        ("2023-11-14T16:43+0530", 1_699_960_380, False),
        ("2023-11-14 22:13:20", 1_700_000_000, True),
    ],
)
def test_timestamps(tmp_path, written, seconds, warns):
    make(tmp_path, {"interactions.csv": HEAD + f'ann,mug,"{written}"\n'})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_folder(tmp_path)
    assert data.interactions["timestamp"].tolist() == [seconds]
    assert ["read as UTC" in str(each.message) for each in caught] == [True] * warns


def test_twice_on_a_day_is_no_fault(tmp_path):
    rows = "ann,mug,2024-05-01\nann,mug,2024-05-01\nbo,lamp,2024-05-02\n"
    make(tmp_path, {"interactions.csv": HEAD + rows})
    assert check_folder(tmp_path) == []
    log = load_folder(tmp_path).interactions
    assert log["item"].tolist() == [0, 0, 1]
    assert log["timestamp"].tolist() == [1_714_521_600, 1_714_521_600, 1_714_608_000]


def test_a_long_faulty_value_among_dates_is_no_time_of_day(tmp_path):
    rows = "ann,mug,2024-05-01\nbo,lamp,the day after\n"
    make(tmp_path, {"interactions.csv": HEAD + rows})
    with pytest.warns(FolderWarning) as caught:
        load_folder(tmp_path, skip_faulty=True)
    assert len(caught) == 1  # and not of the time zone too


def test_byte_order_mark_and_line_ends(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        make(tmp_path, {"items.csv": "\ufeff" + ITEMS.replace("\n", end)})
        assert load_folder(tmp_path).items["title"].tolist() == ["A mug", "A lamp"]


names = st.text(
    st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=8
)
ids = names.filter(lambda text: text.strip() and text[0] not in "=+-@\t\r")


@settings(max_examples=60)
@given(st.data())
def test_round_trip_of_tables(data):
    def distinct(text):
        return nfc(text)

    items = data.draw(st.lists(ids, min_size=1, max_size=5, unique_by=distinct))
    users = data.draw(st.lists(ids, min_size=1, max_size=5, unique_by=distinct))
    titles = data.draw(st.lists(ids, min_size=len(items), max_size=len(items)))
    keys = st.tuples(st.sampled_from(users), st.sampled_from(items), st.integers(0, 4 * 10**9))
    log = pd.DataFrame(
        data.draw(st.lists(keys, min_size=1, max_size=8, unique=True)),
        columns=["user_id", "item_id", "timestamp"],
    )
    log["rating"] = np.arange(len(log)) / 4
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.DataFrame({"item_id": items, "title": titles})
        # pandas would leave a lone carriage return without quotes.
        quoted = {"index": False, "quoting": csv.QUOTE_NONNUMERIC}
        frame.to_csv(Path(folder, "items.csv"), **quoted)
        pd.DataFrame({"user_id": users}).to_csv(Path(folder, "users.csv"), **quoted)
        log.to_csv(Path(folder, "interactions.csv"), **quoted)
        loaded = load_folder(folder)
    assert list(loaded.items.index) == items
    assert loaded.items["title"].tolist() == titles
    assert list(loaded.modalities["text"][np.arange(len(items))]) == titles
    assert list(loaded.users.index) == users
    back = loaded.interactions
    assert [users[n] for n in back["user"]] == log["user_id"].tolist()
    assert [items[n] for n in back["item"]] == log["item_id"].tolist()
    assert back["timestamp"].tolist() == log["timestamp"].tolist()
    assert back["rating"].tolist() == log["rating"].tolist()


# --- Content ------------------------------------------------------------------------------------


def test_round_trip_of_content(tmp_path):
    sound = RNG.integers(-32768, 32768, 16_000).astype(np.int16)
    frames = clip(8)
    files = {"images/lamp.png": png(), "audio/mug.wav": wav(sound), "video/lamp.gif": gif(frames)}
    data = load_folder(make(tmp_path, files))
    assert list(data.modalities) == ["text", "image", "audio", "video"]
    image, audio, video = (data.modalities[name] for name in ("image", "audio", "video"))
    np.testing.assert_array_equal(image[1], PIXELS)
    np.testing.assert_array_equal(audio[0], sound)
    np.testing.assert_array_equal(video[1], frames)
    assert [image.dtype, audio.dtype, video.dtype] == [np.uint8, np.int16, np.uint8]
    assert [image.rate, audio.rate, video.rate] == [None, 16_000, None]
    for modality, present in [(image, [0, 1]), (audio, [1, 0]), (video, [0, 1])]:
        np.testing.assert_array_equal(modality.present, np.array(present, bool))
    assert not image[0].any()


def test_files_in_normal_form_d_find_their_item(tmp_path):
    make(tmp_path, {"items.csv": ITEMS + "caf\u00e9,C\n", "images/cafe\u0301.png": png()})
    np.testing.assert_array_equal(load_folder(tmp_path).modalities["image"][2], PIXELS)


def test_content_is_read_when_asked_for(tmp_path):
    make(tmp_path, {"images/mug.png": png(), "images/lamp.png": png(PIXELS[::-1])})
    image = load_folder(tmp_path).modalities["image"]
    (tmp_path / "images" / "mug.png").unlink()
    np.testing.assert_array_equal(image[[1, 1]], [PIXELS[::-1]] * 2)
    with pytest.raises(FolderError, match=r"images/mug\.png.*\n.*changed since"):
        image[[1, 0]]
    (tmp_path / "images" / "mug.png").write_bytes(png()[:-100])
    with pytest.raises(FolderError, match=r"images/mug\.png"):
        image[0]


def test_item_rows_behind_a_skipped_one_keep_their_files(tmp_path):
    make(tmp_path, {"items.csv": "item_id,title\nbad,=A\n" + ITEMS[14:], "images/lamp.png": png()})
    with pytest.warns(FolderWarning):
        data = load_folder(tmp_path, skip_faulty=True)
    assert list(data.items.index) == ["mug", "lamp"]
    np.testing.assert_array_equal(data.modalities["image"][1], PIXELS)


def test_png_may_be_called_jpg(tmp_path):
    data = load_folder(make(tmp_path, {"images/mug.jpg": png()}))
    np.testing.assert_array_equal(data.modalities["image"][0], PIXELS)


def load_image(folder, content, size):
    return load_folder(make(folder, {"images/mug.png": content}), image_size=size).modalities[
        "image"
    ][0]


def test_solid_colour_survives_scaling(tmp_path):
    solid = np.full((300, 200, 3), [10, 200, 90], np.uint8)
    pixels = load_image(tmp_path, png(solid), (40, 64))
    assert pixels.shape == (40, 64, 3)
    np.testing.assert_array_equal(pixels, np.broadcast_to(solid[0, 0], (40, 64, 3)))


def test_large_jpeg_is_scaled_as_by_its_mean(tmp_path):
    quarters = np.zeros((1024, 2048, 3), np.uint8)
    quarters[:512, :1024], quarters[512:, 1024:] = 240, 120
    pixels = load_image(tmp_path, png(quarters, "JPEG", quality=95), (8, 16))
    expected = quarters.reshape(8, 128, 16, 128, 3).mean((1, 3))
    # Away from the edges, which the filter mixes.
    for rows in (slice(0, 3), slice(5, 8)):
        for columns in (slice(0, 7), slice(9, 16)):
            np.testing.assert_allclose(pixels[rows, columns], expected[rows, columns], atol=2)


def test_fine_detail_of_a_jpeg_is_not_lost(tmp_path):
    content = png(np.kron(PIXELS, np.ones((8, 8, 1), np.uint8)), "JPEG")
    with Image.open(io.BytesIO(content)) as image:
        expected = image.resize((256, 256), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(load_image(tmp_path, content, (256, 256)), expected)


def test_transparency_becomes_white(tmp_path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[..., 0] = 255
    rgba[0, 0, 3], rgba[0, 1, 3] = 255, 51
    pixels = load_image(tmp_path, png(rgba), (2, 2))
    np.testing.assert_array_equal(
        pixels, [[[255, 0, 0], [255, 204, 204]], [[255, 255, 255], [255, 255, 255]]]
    )


def test_picture_is_turned_upright(tmp_path):
    turned = np.zeros((64, 32, 3), np.uint8)
    turned[:32] = [255, 0, 0]
    exif = Image.Exif()
    exif[0x0112] = 6  # Its top is on the right as stored; turn it clockwise to see it.
    stored = np.rot90(turned)
    content = png(np.ascontiguousarray(stored), exif=exif)
    np.testing.assert_array_equal(load_image(tmp_path, content, (64, 32)), turned)


def test_other_kinds_of_pixels(tmp_path):
    grey = np.array([[0, 256 * 7, 65_535, 32_768]], np.uint16)
    pixels = load_image(tmp_path, png(grey), (1, 4))
    np.testing.assert_array_equal(pixels[0], [[0] * 3, [7] * 3, [255] * 3, [128] * 3])
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("L")
    palette = Image.frombytes("P", (2, 1), palette.tobytes())
    palette.putpalette([1, 2, 3, 4, 5, 6])
    buffer = io.BytesIO()
    palette.save(buffer, "PNG", transparency=1)
    pixels = load_image(tmp_path, buffer.getvalue(), (1, 2))
    np.testing.assert_array_equal(pixels, [[[1, 2, 3], [255, 255, 255]]])


def load_audio(folder, content, **options):
    return load_folder(make(folder, {"audio/mug.wav": content}), **options).modalities["audio"][0]


def test_tone_keeps_its_pitch_and_height(tmp_path):
    tone = np.sin(2 * np.pi * 440 * np.arange(2 * 44_100) / 44_100)
    samples = load_audio(tmp_path, wav(np.rint(tone * 16_384).astype(np.int16), 44_100))
    expected = 16_384 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    # The first samples lie within the filter's length of the beginning.
    np.testing.assert_allclose(samples[100:], expected[100:], atol=20)


def test_what_is_above_half_the_rate_is_removed(tmp_path):
    tone = np.sin(2 * np.pi * 12_000 * np.arange(44_100) / 44_100)
    samples = load_audio(tmp_path, wav(np.rint(tone * 16_384).astype(np.int16), 44_100))
    assert np.abs(samples[200:-200]).max() < 40


def test_sound_is_cut_or_ends_in_zeros(tmp_path):
    sound = np.arange(1, 301, dtype=np.int16)
    options = {"audio_rate": 1_000, "audio_seconds": 0.2}
    np.testing.assert_array_equal(load_audio(tmp_path, wav(sound, 1_000), **options), sound[:200])
    padded = load_audio(tmp_path, wav(sound, 1_000), **options | {"audio_seconds": 0.5})
    np.testing.assert_array_equal(padded, [*sound, *np.zeros(200)])


SOUND = np.array([-32768, -256, 0, 512, 32512], np.int16)


def wav_of_24_bits():
    """Return `SOUND` with 24 bits a sample, in the extensible form."""
    data = b"".join(struct.pack("<i", int(v) << 8)[:3] for v in SOUND)
    data += b"\0"  # to an even length
    form = struct.pack("<HHIIHHHHI", 0xFFFE, 1, 16_000, 48_000, 3, 24, 22, 24, 4)
    form += struct.pack("<H", 1) + bytes(14)
    chunks = b"fact" + struct.pack("<I", 3) + b"abc\0"
    chunks += b"fmt " + struct.pack("<I", len(form)) + form
    chunks += b"data" + struct.pack("<I", 15) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


EIGHT_BITS = (SOUND // 256 + 128).astype(np.uint8)
CONVERTED = {
    wav(SOUND): [],
    wav(np.stack([SOUND] * 2, axis=1)): [("stereo sound", "2 channels")],
    wav(np.stack([SOUND] * 6, axis=1)): [("multichannel sound", "6 channels")],
    wav(EIGHT_BITS): [("8-bit sound", "8-bit samples")],
    wav_of_24_bits(): [("24-bit sound", "24-bit samples")],
    wav(SOUND.astype(np.int32) * 65_536): [("32-bit sound", "32-bit samples")],
    wav(SOUND.astype(np.float32) / 32_768): [("32-bit float sound", "32-bit float samples")],
    wav(SOUND.astype(np.float64) / 32_768): [("64-bit float sound", "64-bit float samples")],
    wav(np.stack([EIGHT_BITS] * 2, axis=1)): [
        ("stereo sound", "2 channels"),
        ("8-bit sound", "8-bit samples"),
    ],
}


@pytest.mark.parametrize("skip_faulty", [False, True])
@pytest.mark.parametrize(
    ("content", "expected"), CONVERTED.items(), ids=map(str, CONVERTED.values())
)
def test_other_widths_and_channels_are_loaded_and_reported(
    tmp_path, content, expected, skip_faulty
):
    make(tmp_path, {"audio/mug.wav": content})
    faults = check_folder(tmp_path)
    assert places(faults) == [
        ("audio/mug.wav", None, None, value, kind) for kind, value in expected
    ]
    assert all(fault.converted for fault in faults)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_folder(tmp_path, skip_faulty=skip_faulty)
    assert [each.message.faults for each in caught] == [faults] * bool(faults)
    np.testing.assert_array_equal(data.modalities["audio"][0][:5], SOUND)


def test_what_is_converted_is_told_apart_from_what_is_left_out(tmp_path):
    stereo = wav(np.stack([SOUND] * 2, axis=1))
    files = {f"audio/{name}.wav": stereo for name in ("mug", "bowl")}
    make(tmp_path, files | {"audio/lamp.wav": wav(EIGHT_BITS)})
    left_out = ("audio/bowl.wav", None, None, "bowl", "unknown item")
    converted = [
        ("audio/lamp.wav", None, None, "8-bit samples", "8-bit sound"),
        ("audio/mug.wav", None, None, "2 channels", "stereo sound"),
    ]
    assert places(check_folder(tmp_path)) == [left_out, *converted]
    with pytest.raises(FolderError) as error:
        load_folder(tmp_path)
    assert places(error.value.faults) == [left_out]
    with pytest.warns(FolderWarning) as caught:
        data = load_folder(tmp_path, skip_faulty=True)
    (warning,) = caught
    assert str(warning.message) == (
        "Left out because of 1 fault:\n"
        "unknown item (1)\n"
        "  audio/bowl.wav: 'bowl'. Not in items.csv: add it there, or remove it here.\n"
        "Converted because of 2 faults:\n"
        "8-bit sound (1)\n"
        "  audio/lamp.wav: '8-bit samples'. Expected 16-bit integers. They are scaled to these: "
        "save the sound as 16-bit PCM to avoid it.\n"
        "stereo sound (1)\n"
        "  audio/mug.wav: '2 channels'. Expected one channel. Their mean is taken: "
        "save the sound as mono to avoid it."
    )
    assert data.modalities["audio"].present.all()


def test_what_is_converted_is_not_what_stops(tmp_path):
    make(tmp_path, {"interactions.csv": "", "audio/mug.wav": wav(EIGHT_BITS)})
    with pytest.raises(FolderError) as caught:
        load_folder(tmp_path)
    assert places(caught.value.faults) == [("interactions.csv", None, None, None, "empty file")]


def test_channels_are_averaged_and_loud_floats_clipped(tmp_path):
    left_right = np.array([[100, 300], [-32768, 32767]], np.int16)
    with pytest.warns(FolderWarning, match="Their mean is taken"):
        samples = load_audio(tmp_path, wav(left_right))
    np.testing.assert_array_equal(samples[:2], [200, 0])
    loud = np.array([-3.0, 0.5, 3.0], np.float32)
    with pytest.warns(FolderWarning, match="cut off beyond ±1"):
        samples = load_audio(tmp_path, wav(loud))
    np.testing.assert_array_equal(samples[:3], [-32768, 16384, 32767])


def test_samples_that_are_no_numbers(tmp_path):
    make(tmp_path, {"audio/mug.wav": wav(np.array([0, np.nan], np.float32))})
    with pytest.warns(FolderWarning, match="32-bit float"):
        data = load_folder(tmp_path)
    with pytest.raises(FolderError, match=r"audio/mug\.wav.*NaN"):
        data.modalities["audio"][0]


def load_video(folder, name, content, **options):
    data = load_folder(make(folder, {f"video/{name}": content}), **options)
    return data.modalities["video"][0]


@pytest.mark.parametrize(
    ("n_frames", "wanted"), [(16, [1, 3, 5, 7, 9, 11, 13, 15]), (3, [0, 0, 0, 1, 1, 2, 2, 2])]
)
def test_frames_are_taken_evenly(tmp_path, n_frames, wanted):
    frames = clip(n_frames)
    video = load_video(tmp_path, "mug.gif", gif(frames))
    np.testing.assert_array_equal(video, [frames[n] for n in wanted])


def test_frames_are_scaled_and_transparency_is_white(tmp_path):
    frame = Image.new("P", (20, 10), 0)
    frame.putpalette([5, 6, 7, 8, 9, 10])
    buffer = io.BytesIO()
    frame.save(buffer, "GIF", transparency=0)
    video = load_video(tmp_path, "mug.gif", buffer.getvalue(), video_frames=2, video_size=(4, 6))
    np.testing.assert_array_equal(video, np.full((2, 4, 6, 3), 255))


def mp4(frames, codec="mpeg4", **options):
    av = pytest.importorskip("av")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "clip.mp4")
        with av.open(file, "w", options=options) as container:
            stream = container.add_stream(codec, rate=12)
            stream.height, stream.width = frames[0].shape[:2]
            stream.bit_rate = 4_000_000
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        return file.read_bytes()


def test_mp4(tmp_path):
    frames = clip(16, lambda k: [15 * k] * 3)
    video = load_video(tmp_path, "mug.mp4", mp4(frames))
    np.testing.assert_allclose(video, frames[1::2], atol=3)
    video = load_video(tmp_path, "mug.mp4", mp4(frames[:2]), video_frames=4)
    np.testing.assert_allclose(video, [frames[n] for n in (0, 0, 1, 1)], atol=3)


def test_mp4_that_is_to_be_seen_turned(tmp_path):
    frame = np.zeros((32, 64, 3), np.uint8)
    frame[:16, :32] = 255  # upper left; turned clockwise it is upper right
    content = bytearray(mp4([frame] * 2))
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", 0, 65_536, 0, -65_536, 0, 0, 32 << 16, 0, 2**30)
    video = load_video(tmp_path, "mug.mp4", bytes(content), video_frames=1, video_size=(64, 32))
    corners = video[0, [5, 5, -5, -5], [5, -5, 5, -5], 0]
    np.testing.assert_allclose(corners, [0, 255, 0, 0], atol=5)


def test_faulty_mp4(tmp_path):
    frames = clip(12, lambda k: [15 * k] * 3)
    # Its table of frames stands behind the frames, or before them.
    behind, before = mp4(frames), mp4(frames, movflags="faststart")
    cases = [
        (b"", "empty file"),
        (png(), "not an mp4"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "not an mp4"),  # FFmpeg would go there
        (before[:100], "truncated video"),
        (behind[: behind.index(b"moov") - 4], "bad video"),
        (behind[:-3], "truncated video"),
        (before.replace(b"mp4v", b"zzzz").replace(b"esds", b"free"), "bad video"),
        (before[: before.index(b"moov") - 4], "bad video"),
        (before[: len(before) * 2 // 3], "truncated video"),
        (before[:-3], "truncated video"),
    ]
    for content, kind in cases:
        make(tmp_path, {"video/mug.mp4": content})
        assert_reported(tmp_path, [("video/mug.mp4", None, None, None, kind)])


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
def test_mp4_whose_edit_list_hides_frames(tmp_path, codec):
    if codec not in pytest.importorskip("av").codecs_available:
        pytest.skip("this build of FFmpeg cannot write H.264")
    content = bytearray(mp4(clip(16, lambda k: [15 * k] * 3), codec))
    # Half of the 16/12 s, and of 12,288 units a second 4,096 further in: frames 4 to 11.
    at = content.index(b"elst") + 12
    (begin,) = struct.unpack(">i", content[at + 4 : at + 8])
    content[at : at + 8] = struct.pack(">Ii", 666, begin + 4096)
    video = load_video(tmp_path, "mug.mp4", bytes(content))
    np.testing.assert_allclose(video[[0, -1], 0, 0, 0], [60, 165], atol=3)


def test_mp4_with_fewer_frames_than_it_says(tmp_path, monkeypatch):
    data = load_folder(make(tmp_path, {"video/mug.mp4": mp4(clip(4))}))
    monkeypatch.setattr("mmrec_tf.datasets.media._mp4_size", lambda file: (32, 32, 40))
    with pytest.raises(FolderError, match="Expected 40 frames"):
        data.modalities["video"][0]


def test_mp4_box_of_64_bit_size_and_box_to_the_end(tmp_path):
    frames = clip(8, lambda k: [15 * k] * 3)
    content = mp4(frames, movflags="faststart")
    at = content.index(b"mdat") - 4
    size = len(content) - at
    open_end = content[:at] + struct.pack(">I", 0) + content[at + 4 :]
    np.testing.assert_allclose(load_video(tmp_path, "mug.mp4", open_end), frames, atol=3)
    # The wide header takes the place of an empty box, so that the frames stay where they are.
    assert content[at - 8 : at] == b"\0\0\0\x08free"
    wide = content[: at - 8] + struct.pack(">I4sQ", 1, b"mdat", size + 8) + content[at + 8 :]
    np.testing.assert_allclose(load_video(tmp_path, "mug.mp4", wide), frames, atol=3)
    (tmp_path / "video" / "mug.mp4").write_bytes(wide[:-1])
    assert [fault.kind for fault in check_folder(tmp_path)] == ["truncated video"]


def test_mp4_without_video_and_too_large(tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.rate = 16_000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    make(tmp_path, {"video/mug.mp4": buffer.getvalue()})
    assert [fault.kind for fault in check_folder(tmp_path)] == ["no frames"]
    make(tmp_path, {"video/mug.mp4": mp4(clip(4))})
    assert check_folder(tmp_path) == []
    monkeypatch.setitem(check_video.__kwdefaults__, "max_pixels", 4 * 32 * 32 - 1)
    assert [fault.kind for fault in check_folder(tmp_path)] == ["too large"]


def test_mp4_without_its_package(tmp_path, monkeypatch):
    make(tmp_path, {"video/mug.mp4": b"\0\0\0\x10ftypisom" + bytes(4)})
    original = builtins.__import__

    def without_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError("No module named 'av'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    with pytest.raises(ImportError, match=r"pip install 'mmrec_tf\[video\]'"):
        load_folder(tmp_path, skip_faulty=True)


# --- Options, and anything at all ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 64}, r"`image_size` to be \(height, width\). Received: 64"),
        ({"video_size": (32, 0)}, r"`video_size\[1\]` to be a positive integer. Received: 0"),
        ({"video_frames": 2.5}, "`video_frames` to be a positive integer. Received: 2.5"),
        ({"audio_rate": -1}, "`audio_rate` to be a positive integer. Received: -1"),
        ({"audio_seconds": 0}, "`audio_seconds` of at least one sample. Received: 0"),
    ],
)
def test_option_out_of_range(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        load_folder(make(tmp_path, {}), **options)


def load_or_be_told(files):
    """Load a folder and all its content; nothing but a `FolderError` may come out."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for skip_faulty in (False, True):
            try:
                data = load_folder(make(Path(folder), files), skip_faulty=skip_faulty)
                for modality in data.modalities.values():
                    modality[np.arange(len(modality))]
            except FolderError as error:
                str(error)


# Bytes that a CSV file gives a meaning, more often than others.
table_bytes = st.lists(
    st.sampled_from([b",", b"\n", b"\r", b'"', b"\0", b"mug", b"0", b"=", b"\xff", "é".encode()])
).map(b"".join)


@settings(max_examples=80)
@given(table_bytes, table_bytes, table_bytes)
def test_any_tables(items, users, log):
    load_or_be_told(
        {
            "items.csv": b"item_id,title\nmug,A\n" + items,
            "users.csv": b"user_id\nann\n" + users,
            "interactions.csv": b"user_id,item_id,timestamp\nann,mug,0\n" + log,
        }
    )


@settings(max_examples=150)
@given(st.data())
def test_any_files(data):
    file = data.draw(
        st.sampled_from(["images/mug.jpg", "images/mug.png", "audio/mug.wav", "video/mug.gif"])
    )
    content = bytearray(SMALL[file[-3:]])
    at = data.draw(st.integers(0, len(content)))
    n = data.draw(st.integers(0, 8))
    content[at : at + n] = data.draw(st.binary(max_size=8))
    load_or_be_told({file: bytes(content)})


SMALL = {
    "jpg": png(PIXELS[:8, :8], "JPEG"),
    "png": png(PIXELS[:8, :8]),
    "wav": wav(SOUND),
    "gif": gif(clip(3, size=(4, 4))),
}
