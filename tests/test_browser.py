"""The built pages in a browser: nothing breaks, nothing is fetched, nobody is shut out."""

from pathlib import Path

import axe_playwright_python
import pytest

from .conftest import toc_pages

PAGES = [*toc_pages(), "search", "genindex"]
WIDTHS = (360, 1280)
MAX_WEIGHT = 1_500_000
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")

STOP_ANIMATIONS = """addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style");
  style.textContent = "* {transition: none !important; animation: none !important}";
  document.head.append(style);
});"""

# Everything a page loads except the figures of its article, uncompressed.
WEIGHT = """() => {
  const figures = new Set([...document.querySelectorAll("article img")].map(image => image.src));
  const loaded = ["navigation", "resource"].flatMap(type => performance.getEntriesByType(type));
  return loaded.filter(entry => !figures.has(entry.name))
    .map(entry => [entry.decodedBodySize, entry.name.split("/").pop()])
    .sort((a, b) => b[0] - a[0]);
}"""

OVERFLOWING = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const name = element => element.tagName.toLowerCase() + "." + element.className;
  const scrolls = element => element.matches("body *")
    && (getComputedStyle(element).overflowX !== "visible" || scrolls(element.parentElement));
  const wide = [...document.querySelectorAll(".bd-article *")]
    .filter(element => element.getBoundingClientRect().right > width + 1)
    .filter(element => !scrolls(element.parentElement));
  return ["the document", ...wide.slice(0, 5).map(name)];
}"""

# The source is still there, nothing is to be seen, an unknown command stands there in red, or the
# styles or fonts are missing.
BROKEN_MATHS = """() => {
  const invisible = element => {
    const box = element.getBoundingClientRect();
    return box.width < 1 || box.height < 1;
  };
  return [...document.querySelectorAll("article .math")].filter(maths => {
    const rendered = maths.querySelector(".katex-html");
    return !rendered || invisible(rendered)
      || maths.querySelector(".katex-error, [style*='#cc0000']")
      || !getComputedStyle(rendered).fontFamily.includes("KaTeX")
      || !document.fonts.check("1em KaTeX_Main");
  }).map(maths => maths.textContent.trim().slice(0, 80));
}"""

# Of the pieces of code, signatures and equations that look alike, axe sees the first; else it
# takes seconds. Code in a link stays, for it is the link's name. Also the rule on button names,
# which it leaves out unless asked.
RUN_AXE = """async rules => {
  const ground = element => {
    const colour = getComputedStyle(element).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" && element.parentElement
      ? ground(element.parentElement) : colour;
  };
  const ALIKE = ":is(pre, .katex, dl.py) :not(:has(*), a, :is(a, button) *),"
    + "code:not(:has(code), a *)";
  const seen = new Set();
  for (const piece of document.querySelectorAll(ALIKE)) {
    const {color, fontSize, fontWeight} = getComputedStyle(piece);
    const look = [color, fontSize, fontWeight, ground(piece)].join();
    piece.style.visibility = seen.has(look) ? "hidden" : "";
    seen.add(look);
  }
  const options = {preload: false, resultTypes: ["violations"]};
  if (rules) options.runOnly = rules;
  else options.rules = {"label-content-name-mismatch": {enabled: true}};
  const results = await axe.run(document, options);
  return results.violations.filter(({impact}) => ["serious", "critical"].includes(impact))
    .map(({id, help, nodes}) =>
      `${id} (${help}): ` + nodes.slice(0, 5).map(node => node.target.join(" ")).join(" | "));
}"""


@pytest.fixture(scope="session")
def contexts(browser):
    """One browser profile for each width, with animations off."""
    opened = {
        width: browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="light",
            reduced_motion="reduce",
        )
        for width in WIDTHS
    }
    for context in opened.values():
        context.add_init_script(STOP_ANIMATIONS)
        context.set_default_timeout(10_000)
    yield opened
    for context in opened.values():
        context.close()


def watch(page, base, faults):
    """Note in `faults` what goes wrong while `page` is open."""

    def on_request(request):
        if not request.url.startswith((base, "data:", "blob:")):
            faults.append(f"request to another host: {request.url}")

    page.on("request", on_request)
    page.on("requestfailed", lambda request: faults.append(f"failed request: {request.url}"))
    page.on(
        "response",
        lambda response: (
            response.status >= 400 and faults.append(f"status {response.status}: {response.url}")
        ),
    )
    page.on(
        "console",
        lambda message: message.type == "error" and faults.append(f"console: {message.text}"),
    )
    page.on("pageerror", lambda error: faults.append(f"error in a script: {error}"))


@pytest.fixture
def new_page(contexts, serve):
    """Function that opens a page of the book at a width; the faults it meets fail the test."""
    pages, faults = [], []

    def open_page(name, width=1280, base=serve):
        page = contexts[width].new_page()
        pages.append(page)
        watch(page, base, faults)
        page.goto(f"{base}{name}.html")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert not faults


def set_colours(page, mode):
    page.emulate_media(color_scheme=mode)
    page.wait_for_function("mode => document.documentElement.dataset.theme === mode", arg=mode)


def open_folded_part(page, name, kind):
    part = page.locator(f"details.{kind}").first
    content = part.locator(":scope > :not(summary)").first
    assert not content.is_visible()
    part.locator("summary").first.click()
    content.wait_for(state="visible")
    if kind != "solution":
        mark = part.locator("summary").evaluate("it => getComputedStyle(it, '::before').content")
        assert mark.strip('"') == {"quiz.right": "✓", "quiz.wrong": "✗"}[kind]
        assert content.inner_text().strip(), f"{name}: an answer has no explanation"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_page(new_page, name, width):
    page = new_page(name, width)
    page.evaluate("document.fonts.ready.then(() => null)")
    weight = page.evaluate(WEIGHT)
    total = sum(size for size, _ in weight)
    assert total <= MAX_WEIGHT, (
        f"{name} loads {total:,} bytes without its figures; the heaviest parts: {weight[:5]}"
    )

    for kind in ("solution", "quiz.right", "quiz.wrong"):
        if page.locator(f"details.{kind}").count():
            open_folded_part(page, name, kind)
    assert page.locator("button.copybtn").count() >= page.locator("div.cell_input pre").count()

    # Look at all that is folded away.
    page.evaluate(
        "document.querySelectorAll('details').forEach(part => {"
        "part.removeAttribute('name'); part.open = true})"
    )
    broken = page.evaluate(BROKEN_MATHS)
    assert not broken, f"{name}: equations that are not rendered: {broken}"
    overflowing = page.evaluate(OVERFLOWING)
    assert not overflowing, f"{name} scrolls sideways at {width} px because of {overflowing}"

    page.evaluate(AXE)
    set_colours(page, "light")
    violations = page.evaluate(RUN_AXE, None)
    assert not violations, f"{name}, light, {width} px: mend {violations}"
    set_colours(page, "dark")
    violations = page.evaluate(RUN_AXE, ["color-contrast", "link-in-text-block"])
    assert not violations, f"{name}, dark, {width} px: mend {violations}"


def test_root_leads_to_first_page(new_page):
    page = new_page("index")
    page.wait_for_url(f"**/{PAGES[0]}.html")


def test_icons_are_drawn(new_page):
    page = new_page(PAGES[0])
    heights = page.eval_on_selector_all(
        ".article-header-buttons svg", "icons => icons.map(icon => icon.clientHeight)"
    )
    shown = [height for height in heights if height]
    assert len(shown) >= 3, f"header icons are {heights} pixels high"
    assert max(shown) < 40, f"header icons are {heights} pixels high"
    assert not page.locator("i[class*='fa-']").count(), "an icon was left to a script"


def test_theme_switch(new_page):
    page = new_page(PAGES[0])
    background = "getComputedStyle(document.body).backgroundColor"
    seen = set()
    for _ in range(3):
        page.locator(".theme-switch-button").click()
        seen.add(
            (page.evaluate("document.documentElement.dataset.mode"), page.evaluate(background))
        )
    assert {mode for mode, _ in seen} == {"auto", "light", "dark"}
    assert len({colour for _, colour in seen}) == 2, f"backgrounds do not follow the mode: {seen}"


def search_and_find(page):
    """Search for a word of the last chapter's title, and expect to find that chapter."""
    title = page.locator(".bd-docs-nav a").last.inner_text()
    word = max(title.replace("-", " ").split(), key=len)
    page.keyboard.press("Control+k")
    page.locator("#pst-search-dialog input").fill(word)
    page.keyboard.press("Enter")
    page.locator("#search-results li a", has_text=title).first.wait_for()


def test_search(new_page):
    search_and_find(new_page(PAGES[0]))


def test_reading_from_disk(new_page, book_html):
    page = new_page(PAGES[0], base=book_html.as_uri() + "/")
    primary = "getComputedStyle(document.documentElement).getPropertyValue('--pst-color-primary')"
    assert page.evaluate(primary), "the theme's styles don't apply"
    assert page.locator(".article-header-buttons svg").first.bounding_box()["height"] < 40
    search_and_find(page)


@pytest.mark.parametrize(
    "selector", ["details.solution", "details.quiz.right", "details.quiz.wrong", "div.cell_input"]
)
def test_what_test_page_opens_and_counts_is_there(new_page, selector):
    page = new_page(next(name for name in PAGES if "/03_" in name))
    assert page.locator(selector).count()
