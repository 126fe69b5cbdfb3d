"""The built book, a server for it and a browser, each started once."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
import yaml
from book_maths import NODE
from filelock import FileLock
from hypothesis import settings

# The same examples everywhere, and no time limit that a busy machine breaks.
settings.register_profile("book", deadline=None, derandomize=True)
settings.load_profile("book")

ROOT = Path(__file__).resolve().parents[1]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
BROWSER_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Requests to other hosts fail at once, with or without a network.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
NO_BROWSER = (
    "no Chromium that starts: `sudo apt-get install chromium` (Debian), `brew install --cask "
    "chromium` (macOS) or `.venv/bin/python -m playwright install --with-deps chromium`"
)


def toc_pages():
    """List the pages that _toc.yml names, without suffix."""

    def walk(entry):
        if isinstance(entry, list):
            for each in entry:
                yield from walk(each)
        elif isinstance(entry, dict):
            for key in ("root", "file"):
                if key in entry:
                    yield entry[key].removesuffix(".md").removesuffix(".ipynb")
            for key in ("parts", "chapters", "sections", "subtrees", "entries"):
                yield from walk(entry.get(key, []))

    return list(walk(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))))


def build_book(target, config=ROOT / "_config.yml"):
    """Build the book below `target` and return the folder of its pages; fail on any warning."""
    start = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start, "build", str(ROOT)]
    options = ["-W", "-n", "--keep-going", "--path-output", str(target), "--config", str(config)]
    # Into a file: a pipe would be waited for as long as any process that the build started lives.
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        result = subprocess.run(
            [*command, *options], stdout=output, stderr=subprocess.STDOUT, check=False
        )
        output.seek(0)
        log = output.read()
    # TensorFlow's start-up "WARNING: All log messages before absl::InitializeLog()" is none.
    lines = [line for line in log.splitlines() if "WARNING:" in line or "ERROR:" in line]
    lines = [line for line in lines if "absl::InitializeLog" not in line]
    if result.returncode or lines:
        pytest.fail("The book has faults:\n" + ("\n".join(lines) or log[-5000:]), pytrace=False)
    return Path(target) / "_build" / "html"


@pytest.fixture(scope="module")
def empty_cache(tmp_path_factory):
    """A cache folder of a test module's own, with nothing in it."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMREC_TF_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def book_html(tmp_path_factory):
    """Folder with the built pages, which all processes of `make test` share."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    html, done = folder / "book" / "_build" / "html", folder / "book_is_built"
    with FileLock(folder / "book.lock"):
        if not done.exists():
            build_book(folder / "book")
            done.touch()
    return html


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def serve(book_html):
    """Address of a local server of the built book, with a slash at its end."""
    handler = functools.partial(QuietHandler, directory=str(book_html))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def launch(chromium):
    """Start the system's Chromium, else Playwright's own, else an installed Chrome."""
    from playwright.sync_api import Error

    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    for options in ({"executable_path": found} if found else {}, {}, {"channel": "chrome"}):
        try:
            return chromium.launch(args=list(BROWSER_FLAGS), **options)
        except Error:
            continue
    return None


@pytest.fixture(scope="session")
def browser():
    """A Chromium. Without one the test is skipped, but fails where CI is set."""
    from playwright.sync_api import sync_playwright

    # Playwright's own Node.js needs a system library that a bare Debian lacks.
    os.environ.setdefault("PLAYWRIGHT_NODEJS_PATH", str(NODE))
    with sync_playwright() as playwright:
        chromium = launch(playwright.chromium)
        if chromium is None:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(NO_BROWSER)
        yield chromium
        chromium.close()
