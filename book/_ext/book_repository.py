"""Tie all that needs the public repository to one setting, `repository.url` in _config.yml.

With a URL, pages get repository, edit, issue and launch buttons; without one they get none of them
instead of dead ones. An executable chapter is edited in `book/chapters/`, not in the notebook that
is generated from it, so its edit button points there.
"""

NO_URL = "<address of the book's repository>"
BUTTONS = ("use_repository_button", "use_edit_page_button", "use_issues_button")


def set_buttons(app, config):
    """Switch the repository buttons on or off together, before the theme reads its options."""
    options = config.html_theme_options
    config.book_repository_url = options.get("repository_url") or NO_URL
    has_repository = bool(options.get("repository_url"))
    options.update(dict.fromkeys(BUTTONS, has_repository))
    if not has_repository:
        options.pop("launch_buttons", None)


def name_the_repository(app, docname, source):
    """Write the repository's URL where a page says REPOSITORY_URL."""
    source[0] = source[0].replace("REPOSITORY_URL", app.config.book_repository_url)


def edit_the_source(app, pagename, templatename, context, doctree):
    """Point a chapter's edit button at its Markdown source."""
    for group in context.get("header_buttons", ()):
        for button in group.get("buttons", ()):
            if button.get("label") == "source-edit-button":
                button["url"] = chapter_source(button["url"])


def chapter_source(url):
    """Return the edit URL of a page, with a notebook replaced by the source it comes from.

    >>> chapter_source("https://github.com/o/r/edit/main/notebooks/04_2_worked_example.ipynb")
    'https://github.com/o/r/edit/main/book/chapters/04_2_worked_example.md'
    >>> chapter_source("https://github.com/o/r/edit/main/book/setup.md")
    'https://github.com/o/r/edit/main/book/setup.md'
    """
    if not url.endswith(".ipynb"):
        return url
    return url.replace("/notebooks/", "/book/chapters/").removesuffix(".ipynb") + ".md"


def setup(app):
    # Derived from the theme's options; pages are read again when it changes.
    app.add_config_value("book_repository_url", NO_URL, "env", types=(str,))
    app.connect("config-inited", set_buttons)
    app.connect("source-read", name_the_repository)
    # After the theme has put its buttons together (priority 501).
    app.connect("html-page-context", edit_the_source, priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
