"""Keep pages light and self-contained: each loads the scripts and styles it uses, and no others.

The theme draws its two dozen icons with a script of 1.5 MB that holds two thousand. Here they are
put into the pages while the book is built. Files that no page loads are left out of the book.
"""

import re
from functools import cache
from pathlib import Path

from sphinx.util import logging

logger = logging.getLogger(__name__)

NEVER = r"(?!)"
SEARCH_PAGE = "search"

# What a script or style says about itself (in its address or text) → what it works on. A page whose
# article doesn't match does not load it.
SERVES = {
    r"thebe|THEBE|fontawesome\.js": NEVER,
    r"togglebutton|toggleHint|toggleOpenOnPrint": r'class="[^"]*\b(toggle|dropdown)\b',
    r"sphinx-design": r'class="[^"]*\bsd-',
    r"design-tabs": r"\bsd-tab-set\b",
    r"copybutton|clipboard": r'class="highlight',
    r"mystnb": r'class="[^"]*\b(cell|output)\b',
    r"katex": r'class="katex',
}
# Highlighted code wraps every name, comma and space in an element of its own. These have the colour
# of the code around them, in both modes.
PLAIN_TOKENS = ("n", "nn", "nx", "p", "pm", "w")
ONLY_TO_SEARCH = r"searchtools\.js|language_data\.js|searchindex\.js"

# Copied by the theme and its extensions, loaded by no page. The web font, for the icons that
# stylesheets draw, stays in the one format that all browsers read.
UNUSED_FILES = (
    "**/*.map",
    "**/*.ttf",
    "**/*.po",
    "**/*.mo",
    "scripts/fontawesome.js",
    "sphinx-thebe.*",
)

ICON_STYLES = {"fa": "fas", "fas": "fas", "far": "far", "fab": "fab"} | {
    "fa-solid": "fas",
    "fa-regular": "far",
    "fa-brands": "fab",
}


def parse_icons(script):
    """Return the icons a Font Awesome script defines: (style, name) → (width, height, path).

    >>> script = ',bars:[448,512,["navicon",9],"f0c9","M0"],pen:[9,8,[],"f1",["M1","M2"]]("fas",p)'
    >>> parse_icons(script)["fas", "navicon"]
    ('448', '512', 'M0')
    >>> parse_icons(script)["fas", "pen"]
    ('9', '8', 'M1M2')
    """
    icons = {}
    definition = re.compile(
        r'[,{]"?([\w-]+)"?:\[(\d+),(\d+),\[([^\]]*)\],"\w+",("[^"]+"|\[[^\]]+\])\]'
    )
    # Each set of icons is followed by the call that registers it: d("fas", …).
    sections = re.split(r'\("(fa[bsr])",', script)
    for section, style in zip(sections[::2], sections[1::2], strict=False):
        for name, width, height, aliases, path in definition.findall(section):
            for each in (name, *re.findall(r'"([\w-]+)"', aliases)):
                shape = "".join(re.findall(r'"([^"]*)"', path))
                icons.setdefault((style, each), (width, height, shape))
    return icons


@cache
def theme_icons():
    """Read the icons that the installed theme brings."""
    import pydata_sphinx_theme

    theme = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme"
    return parse_icons((theme / "static/scripts/fontawesome.js").read_text(encoding="utf-8"))


def draw_icons(page):
    """Replace each icon placeholder of the theme by the drawing itself."""
    for tag in page.frame.select("i[class*='fa-'], span[class*='fa-']"):
        classes = tag["class"]
        style = next((ICON_STYLES[name] for name in classes if name in ICON_STYLES), "fas")
        candidates = [name.removeprefix("fa-") for name in classes if name not in ICON_STYLES]
        name = next((name for name in candidates if (style, name) in theme_icons()), None)
        if name is None:
            logger.warning(
                "%s: no icon for class=%r in the theme's fontawesome.js; correct the class, or "
                "book/_ext/book_assets.py if the theme has changed",
                page.name,
                " ".join(classes),
            )
            continue
        width, height, path = theme_icons()[style, name]
        svg = page.frame.new_tag("svg", viewBox=f"0 0 {width} {height}")
        svg["class"] = ["svg-inline--fa", *(name for name in classes if name not in ICON_STYLES)]
        svg["aria-hidden"] = "true"
        if "data-mode" in tag.attrs:
            svg["data-mode"] = tag["data-mode"]
        svg.append(page.frame.new_tag("path", fill="currentColor", d=path))
        tag.replace_with(svg)


def drop_unused_references(page):
    """Remove the scripts and styles that this page has no use for, and repeated ones."""
    # The extension for live code writes its settings, which name other hosts, into every article.
    page.article = re.sub(
        r'<script type="text/x-thebe-config">.*?</script>\s*<script>kernelName.*?</script>',
        "",
        page.article,
        flags=re.DOTALL,
    )
    seen = set()
    for tag in page.frame.select("script, link[rel='stylesheet'], link[rel='preload']"):
        subject = tag.get("src") or tag.get("href") or tag.string or ""
        unused = any(
            re.search(subject_pattern, subject) and not re.search(article_pattern, page.article)
            for subject_pattern, article_pattern in SERVES.items()
        )
        if re.search(ONLY_TO_SEARCH, subject) and page.name != SEARCH_PAGE:
            unused = True
        if unused or (tag.name, subject) in seen:
            tag.decompose()
        seen.add((tag.name, subject))


def lighten(html):
    """Return an article without what can be neither seen nor heard.

    >>> lighten('<span class="n">x</span><span class="p">,</span> <span class="kn">as</span>')
    'x, <span class="kn">as</span>'
    >>> lighten('<math xmlns="http://www.w3.org/1998/Math/MathML"><mi>x</mi></math>')
    '<math><mi>x</mi></math>'
    >>> lighten('<mi>x</mi><annotation encoding="application/x-tex">x</annotation>')
    '<mi>x</mi>'
    >>> lighten('<span class="strut" style="height:0.8em;vertical-align:-0.2em;"></span>')
    '<span class="strut" style="height:0.8em;vertical-align:-0.2em"></span>'
    """
    html = re.sub(rf'<span class="(?:{"|".join(PLAIN_TOKENS)})">([^<]*)</span>', r"\1", html)
    html = html.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
    # An equation's source, which browsers hide and screen readers skip.
    html = re.sub(r"<annotation\b[^>]*>[^<]*</annotation>", "", html)
    return html.replace(';">', '">')


def on_page(app, page):
    draw_icons(page)
    drop_unused_references(page)
    page.article = lighten(page.article)


def remove_unused_files(app, exception):
    """Delete files that no page loads, and the comments that point to deleted ones."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir) / "_static"
    for pattern in UNUSED_FILES:
        for path in static.glob(pattern):
            path.unlink()
    for path in (*static.rglob("*.js"), *static.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        shorter = re.sub(r"\n?(//|/\*)# sourceMappingURL=\S+\.map( ?\*/)?", "", text)
        if shorter != text:
            path.write_text(shorter, encoding="utf-8")


def setup(app):
    app.setup_extension("book_pages")
    app.add_css_file("book.css", priority=900)
    app.add_js_file("book.js", priority=900, defer="defer")
    app.connect("book-page", on_page)
    # After the theme has written its last file.
    app.connect("build-finished", remove_unused_files, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
