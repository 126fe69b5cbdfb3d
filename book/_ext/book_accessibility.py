"""Mend what the theme's pages get wrong for keyboards, screen readers and weak eyes."""

from pathlib import Path

# The theme's own lines leave the colour mode empty on a first visit: an error in the console, and a
# flash of the wrong colours before the theme's script has run.
COLOUR_MODE_SCRIPT = """
    document.documentElement.dataset.mode = localStorage.getItem("mode") || "auto";
    document.documentElement.dataset.theme = localStorage.getItem("theme") ||
      (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  """

DIALOGS = {
    "pst-search-dialog": "Search",
    "pst-primary-sidebar-modal": "Book",
    "pst-secondary-sidebar-modal": "On this page",
}

REDIRECT = """<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={url}">
<link rel="icon" href="data:,">
<title>{title}</title>
</head>
<body><main><h1><a href="{url}">{title}</a></h1></main></body>
</html>
"""


def choose_theme_options(app, config):
    options = config.html_theme_options
    # Code colours that contrast with the background in both modes.
    options.setdefault("pygments_light_style", "a11y-high-contrast-light")
    options.setdefault("pygments_dark_style", "a11y-high-contrast-dark")
    # An empty bar over the page, with a second search field and a second menu button.
    options.setdefault("navbar_persistent", [])
    # A place for advertisements.
    options.setdefault("primary_sidebar_end", [])


def mend_frame(page):
    """Name the parts of the page around the article."""
    frame = page.frame
    for script in frame.select("script[data-cfasync]"):
        script.string = COLOUR_MODE_SCRIPT
    for name, label in DIALOGS.items():
        for dialog in frame.select(f"dialog#{name}"):
            dialog["aria-label"] = label
    for sidebar in frame.select("#pst-primary-sidebar"):
        sidebar["role"] = "region"
        sidebar["aria-label"] = "Book"
    # A button's name holds all the text seen on it: "Search Ctrl+K", not "Search".
    for button in frame.select("button.search-button-field"):
        button["aria-label"] = " ".join(button.get_text().split())
        for text in button.find_all(string=str.isspace, recursive=False):
            text.replace_with(" ")  # a line break counts as a difference
    for repeated in frame.select("meta[name=viewport]")[1:]:
        repeated.decompose()


def mend_article(html):
    """Return an article whose parts can be named and reached.

    >>> mend_article('<summary aria-label="Toggle hidden content">Show code</summary>')
    '<summary>Show code</summary>'
    >>> mend_article('<tr><th></th><th>R@20</th></tr>')
    '<tr><td></td><th>R@20</th></tr>'
    """
    # The label hides the summary's text from screen readers, and from those who say it to click.
    html = html.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    # The corner of a pandas table heads nothing.
    html = html.replace("<th></th>", "<td></td>")
    # A list holds items.
    html = html.replace('role="doc-biblioentry"', 'role="listitem"')
    # The theme gives elements of this class a tab stop when they scroll.
    return html.replace(
        'class="katex-display"', 'class="katex-display pst-scrollable-table-container"'
    )


def on_page(app, page):
    mend_frame(page)
    page.article = mend_article(page.article)


def write_redirect(app, exception):
    """Give the page that leads from the book's folder to its first page a title and a link."""
    if exception or app.builder.format != "html" or app.config.root_doc == "index":
        return
    url = app.builder.get_target_uri(app.config.root_doc)
    html = REDIRECT.format(url=url, title=app.config.html_title, language=app.config.language)
    (Path(app.outdir) / "index.html").write_text(html, encoding="utf-8")


def setup(app):
    app.setup_extension("book_pages")
    app.connect("config-inited", choose_theme_options)
    app.connect("book-page", on_page)
    # After the extension that reads _toc.yml has written a bare one.
    app.connect("build-finished", write_redirect, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
