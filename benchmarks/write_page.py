"""Write the page of the book from the results of all benchmarks.

python -m benchmarks.write_page
"""

import json
from pathlib import Path

from benchmarks import render

FOLDER = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "book" / "benchmarks.md"


def results():
    """Return what the JSON files hold: MovieLens, the shop, speed, retrieval and serving."""
    names = ("movielens_100k", "catalog", "speed", "retrieval", "serving")
    return [json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")) for name in names]


if __name__ == "__main__":
    PAGE.write_text(render.page(*results()), encoding="utf-8")
