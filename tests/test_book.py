"""The built pages, read as files: what they refer to, what they name, where their buttons lead."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from book_assets import PLAIN_TOKENS
from bs4 import BeautifulSoup

from .conftest import ROOT, build_book, toc_pages

PAGES = toc_pages()
NOTEBOOKS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]
REPOSITORY = "https://github.com/example/book"
# Attributes from which a browser loads something on its own.
LOADED = ("src", "srcset", "poster", "data", "action", "background", "href", "xlink:href")


def soup(path):
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def page_soup(html, page):
    return soup(html / f"{page}.html")


def buttons(html, page):
    """Return the links in a page's header: text → address."""
    links = page_soup(html, page).select(".article-header-buttons a[href]")
    return {link.get_text(strip=True): link["href"] for link in links}


@pytest.fixture(scope="module")
def html_with_repository(tmp_path_factory):
    """Folder with the pages of a book whose repository.url is set."""
    folder = tmp_path_factory.mktemp("book_with_repository")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["repository"]["url"] = REPOSITORY
    # These are looked up beside the file that names them, and this one lies elsewhere.
    extensions = config["sphinx"]["local_extensions"]
    config["sphinx"]["local_extensions"] = {
        name: str(ROOT / path) for name, path in extensions.items()
    }
    path = folder / "_config.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return build_book(folder, config=path)


def test_toc_has_pages_and_notebooks():
    chapters = {path.stem for path in (ROOT / "book" / "chapters").glob("*.md")}
    missing = chapters - {Path(page).name for page in NOTEBOOKS}
    assert not missing, f"add to _toc.yml: {sorted(f'notebooks/{name}' for name in missing)}"
    assert len(PAGES) == len(set(PAGES)), "_toc.yml names a page twice"


def test_build_has_every_page_and_no_warning(book_html):
    missing = [page for page in PAGES if not (book_html / f"{page}.html").exists()]
    assert not missing, f"_toc.yml names pages that were not built: {missing}"


def external_references(page):
    """List what a page would load from another host."""
    for tag in page.find_all(True):
        if tag.name in ("a", "meta") or "canonical" in tag.get("rel", ()):
            continue
        for attribute in LOADED:
            address = tag.get(attribute, "")
            if re.match(r"(\w+:)?//", address.strip()):
                yield f"<{tag.name} {attribute}={address}>"
        texts = [tag.get("style", "")]
        if tag.name in ("script", "style"):
            texts.append(tag.string or "")
        for address in re.findall(r"(?:https?:)?//[\w-]+\.[\w./-]+", " ".join(texts)):
            yield f"<{tag.name}>: {address}"


def test_pages_load_nothing_from_other_hosts(book_html):
    found = {
        str(path.relative_to(book_html)): references
        for path in book_html.rglob("*.html")
        if (references := list(external_references(soup(path))))
    }
    assert not found, (
        f"Ship these files in book/_static, or drop them in book/_ext/book_assets.py: {found}"
    )


def test_styles_load_nothing_from_other_hosts(book_html):
    found = {
        path.name: addresses
        for path in book_html.rglob("*.css")
        if (addresses := re.findall(r"url\([\"']?((?:https?:)?//[^)]+)", path.read_text("utf-8")))
    }
    assert not found, f"Styles name other hosts: {found}"


def test_no_source_maps_and_no_unused_icons(book_html):
    static = book_html / "_static"
    left = [*static.rglob("*.map"), *static.rglob("fontawesome.js"), *static.rglob("*.ttf")]
    assert not left, f"book/_ext/book_assets.py should have removed {left}"


@pytest.mark.parametrize("page", PAGES)
def test_images_say_what_they_show(book_html, page):
    for image in page_soup(book_html, page).find_all("img"):
        alt = image.get("alt", "").strip()
        name = Path(urlsplit(image["src"]).path).name
        # A plot that a cell draws without `image: alt` gets the name of its file.
        assert alt, f"{page}: give {name} an alternative text"
        assert unquote(alt) not in (image["src"], name, Path(name).stem), (
            f"{page}: the alternative text of {name} is a file name: say what the image shows"
        )
        assert not re.fullmatch(r"\S+\.(png|svg|jpe?g|webp|gif)", alt), (
            f"{page}: the alternative text {alt!r} is a file name: say what the image shows"
        )


@pytest.mark.parametrize("page", PAGES)
def test_drawings_say_what_they_show(book_html, page):
    for drawing in page_soup(book_html, page).select("article svg.diagram"):
        named = drawing.get("aria-label") or drawing.get("aria-labelledby") or drawing.title
        assert named, f'{page}: give <svg class="diagram"> an aria-label or a <title>'
        assert drawing.get("role") == "img", f'{page}: give <svg class="diagram"> role="img"'


@pytest.mark.parametrize("page", PAGES)
def test_solutions_and_quizzes_are_complete(book_html, page):
    article = page_soup(book_html, page).select_one("article")
    questions = {}
    for part in article.select("details.solution, details.quiz"):
        summary = part.find("summary", recursive=False)
        text = part.get_text(strip=True)
        label = summary.get_text(strip=True) if summary else ""
        assert label, f"{page}: a <details> lacks its <summary>: {text[:60]!r}"
        assert "`" not in label, f"{page}: write <code>, Markdown is not read here: {label!r}"
        assert len(text) > len(label), (
            f"{page}: nothing follows {label!r}. Leave a blank line after </summary>, and close "
            "<details> in a later Markdown cell"
        )
        if "quiz" in part["class"]:
            kinds = {"right", "wrong"} & set(part["class"])
            assert len(kinds) == 1, f'{page}: class="quiz right" or class="quiz wrong": {label!r}'
            assert part.get("name"), f'{page}: say which question {label!r} answers: name="q1"'
            questions.setdefault(part["name"], []).append(kinds.pop())
    for name, kinds in questions.items():
        assert set(kinds) == {"right", "wrong"}, (
            f"{page}: question {name} needs a right and a wrong answer, it has {kinds}"
        )


@pytest.mark.parametrize("page", PAGES)
def test_without_repository_only_download_buttons(book_html, page):
    if yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]:
        pytest.skip("repository.url is set in _config.yml")
    links = buttons(book_html, page)
    assert len(links) == 1, f"{page}: without repository.url only the download is left: {links}"
    (address,) = links.values()
    target = (book_html / f"{page}.html").parent / address
    source = next(ROOT.glob(f"{page}.*"))
    assert target.suffix == source.suffix
    assert target.read_bytes() == source.read_bytes(), f"{page}: {address} is not {source.name}"


@pytest.mark.parametrize("page", PAGES)
def test_with_repository_all_buttons(html_with_repository, page):
    links = buttons(html_with_repository, page)
    issue = f"{REPOSITORY}/issues/new?title=Issue%20on%20page%20%2F{page}.html"
    assert links.pop("Repository") == REPOSITORY
    assert links.pop("Open issue") == f"{issue}&body=Your%20issue%20content%20here."

    if page in NOTEBOOKS:
        notebook, source = f"{page}.ipynb", f"book/chapters/{Path(page).name}.md"
        assert links.pop("Colab") == (
            f"https://colab.research.google.com/github/example/book/blob/main/{notebook}"
        )
        assert links.pop("Binder") == (
            f"https://mybinder.org/v2/gh/example/book/main?urlpath=lab/tree/{notebook}"
        )
        assert links.pop(".ipynb").endswith(f"_sources/{notebook}")
    else:
        source = f"{page}.md"
        assert links.pop(".md").endswith(f"_sources/{source}")
    assert links.pop("Suggest edit") == f"{REPOSITORY}/edit/main/{source}"
    assert (ROOT / source).exists(), f"{page}: its edit button leads to {source}, which is missing"
    assert not links, f"{page}: buttons not tested here: {links}"


def test_repository_is_named_in_the_line_for_colab(html_with_repository):
    assert f"git+{REPOSITORY}" in page_soup(html_with_repository, "book/setup").get_text()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_tokens_that_are_not_wrapped_have_the_colour_of_the_code(book_html, mode):
    css = (book_html / "_static/pygments.css").read_text(encoding="utf-8")
    colours = dict(
        re.findall(rf'"{mode}"\] \.highlight(?: \.(\w+))? {{[^}}]*?\bcolor: (#\w+)', css)
    )
    assert {name: colours[name] for name in PLAIN_TOKENS} == dict.fromkeys(
        PLAIN_TOKENS, colours[""]
    )
