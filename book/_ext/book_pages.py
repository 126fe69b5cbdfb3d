"""Let other extensions edit each finished HTML page, just before it is written.

Sphinx has no event for that. This one adds `book-page`, called with a `Page`.
"""

import re
from dataclasses import dataclass

from bs4 import BeautifulSoup
from sphinx.util import logging

logger = logging.getLogger(__name__)

ARTICLE = re.compile(r"(<article\b[^>]*\bbd-article\b[^>]*>)(.*)(</article>)", re.DOTALL)


@dataclass
class Page:
    """A page in two parts, because parsing long articles full of equations would take long.

    `frame` is all of the page except what the author wrote, `article` is the HTML of the latter.
    """

    name: str
    frame: BeautifulSoup
    article: str


def edit(html, name, handle):
    """Return a page's HTML after `handle` has edited its two parts.

    >>> page = '<html><p id="a"></p><article class="bd-article">x &lt; y</article></html>'
    >>> def handle(page):
    ...     page.frame.find(id="a").string = page.name
    ...     page.article += "."
    >>> edit(page, "home", handle)
    '<html><p id="a">home</p><article class="bd-article">x &lt; y.</article></html>'
    """
    found = ARTICLE.search(html)
    if not found and name != "search":  # whose results are no article
        logger.warning(
            "%s has no article: has the theme changed? See book/_ext/book_pages.py", name
        )
        return html
    frame = ARTICLE.sub(r"\1\3", html)
    page = Page(name, BeautifulSoup(frame, "html.parser"), found[2] if found else "")
    handle(page)
    return ARTICLE.sub(lambda match: match[1] + page.article + match[3], str(page.frame))


def wrap_renderer(app):
    """Send what the page templates return through the `book-page` event."""
    if app.builder.format != "html":
        return
    render = app.builder.templates.render

    def render_and_edit(template, context):
        html = render(template, context)
        if "</html>" not in html:
            return html
        return edit(html, context.get("pagename", ""), lambda page: app.emit("book-page", page))

    app.builder.templates.render = render_and_edit


def setup(app):
    app.add_event("book-page")
    app.connect("builder-inited", wrap_renderer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
