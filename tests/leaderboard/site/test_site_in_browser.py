"""The site in a real Chromium, from files: sorting, filters, pointing, keyboard, print, accessibility.

Needs `playwright` and a Chromium, of the system (`apt-get install chromium`) or Playwright's own; they are
skipped where there is none.
"""

import copy

import pytest
from support import browsers, sites

from understudy.leaderboard.site import site_folder

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
WIDTHS = {"phone": 390, "tablet": 820, "desktop": 1360}
ROWS = "section.table > .scroll table.rows tbody tr"


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as found:
        yield found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    data = copy.deepcopy(sites.three())
    data["tables"][0]["rows"].insert(
        2, sites.row(HOSTILE, data["tables"][0]["rows"][1]["cells"], place="darkroom-v1/quick/hostile")
    )
    other = sites.table(
        [sites.row("other", {"skill": sites.cell("no", 1.0)})], id="minatar-v1-quick", benchmark="minatar-v1"
    )
    data["tables"].append(other)
    site_folder.write(data, folder)
    return folder


@pytest.fixture
def page(browser, site):
    opened = browser.new_page(viewport={"width": 1360, "height": 900})
    opened.requests, opened.problems = [], []
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.on("console", lambda message: opened.problems.append(message.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.goto((site / "index.html").as_uri())
    opened.get_by_text("Filter and search").click()
    yield opened
    assert opened.problems == []
    assert all(url.startswith("file://") for url in opened.requests)
    opened.close()


def names(page):
    return [row.locator("th a").inner_text() for row in page.locator(ROWS).all() if row.is_visible()]


def test_a_click_sorts_by_number_and_a_second_one_the_other_way(page):
    button = page.locator("section#darkroom-v1-quick thead").first.get_by_role("button", name="Q1 skill")
    button.click()
    assert names(page) == ["high", "middle", HOSTILE, "low"]
    assert button.locator("..").get_attribute("aria-sort") == "descending"
    button.click()
    assert names(page) == ["low", "middle", HOSTILE, "high"]


def test_unknown_numbers_stay_at_the_end_in_both_directions(page):
    button = page.locator("section#darkroom-v1-quick thead").first.get_by_role("button", name="parameters")
    for _ in range(2):
        button.click()
        assert names(page)[-1] == "low"


def test_sorting_works_from_the_keyboard(page):
    button = page.locator("section#darkroom-v1-quick thead").first.get_by_role("button", name="imitator")
    button.focus()
    page.keyboard.press("Enter")
    assert names(page) == [HOSTILE, "high", "low", "middle"]


@pytest.mark.parametrize(
    ("field", "value", "left"),
    [
        ("search", "HIG", ["high"]),
        ("search", "transformer", ["middle"]),
        ("parameters", "50000", ["high", HOSTILE]),
    ],
)
def test_filters_leave_the_rows_that_fit(page, field, value, left):
    page.locator(f"[name={field}]").fill(value)
    assert names(page) == left
    assert page.locator("output.count").inner_text() == f"{len(left)} imitator{'s' * (len(left) != 1)} shown"


def test_choices_filter_and_hide_the_curves_too(page):
    page.locator("[name=decoding]").select_option("sample")
    assert names(page) == ["middle"]
    shown = page.locator("section#darkroom-v1-quick article.card svg").last.locator("g.series[data-row]")
    visible = [each.get_attribute("data-row") for each in shown.all() if each.is_visible()]
    assert visible == ["darkroom-v1/quick/middle"]
    page.locator("[name=decoding]").select_option("")
    page.locator("[name=ranked]").check()
    assert "low" not in names(page)


def test_one_table_is_shown_at_a_time_and_a_link_chooses_it(page):
    assert not page.locator("section#minatar-v1-quick").is_visible()
    page.locator("[name=table]").select_option("minatar-v1-quick")
    assert names(page) == ["other"]
    page.locator("[name=table]").select_option("")
    assert page.locator("section.table:visible").count() == 2


def test_pointing_at_a_row_marks_its_curves(page):
    row = page.locator(f"{ROWS}").first
    row.hover()
    marked = page.locator("section#darkroom-v1-quick g.series.chosen")
    assert {each.get_attribute("data-row") for each in marked.all()} == {row.get_attribute("data-row")}
    page.locator("h1").hover()
    assert page.locator("g.series.chosen").count() == 0


def test_pointing_at_a_curve_names_it(page):
    group = page.locator("section#darkroom-v1-quick article.card svg").last.locator("g.series").first
    assert group.locator("title").text_content().startswith("teacher: ")


def test_links_lead_to_the_rows_page_and_back(page):
    page.locator(ROWS).first.locator("a").click()
    assert page.locator("h1").inner_text() == "high"
    page.get_by_role("link", name="darkroom-v1, budget quick").click()
    assert page.locator("section#darkroom-v1-quick").is_visible()


def test_headings_link_to_the_glossary(page):
    page.get_by_role("link", name="normalised gain").first.click()
    assert page.url.endswith("glossary.html#normalised-gain")
    assert page.locator("#normalised-gain").is_visible()


def test_a_hostile_name_is_text(page):
    assert HOSTILE in names(page)
    assert page.title() != "owned"
    assert page.locator("img").count() == 0


def test_the_theme_changes_and_dark_is_dark(page):
    def colour():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = colour()
    page.get_by_role("button", name="Light or dark").click()
    assert colour() != light
    page.get_by_role("button", name="Light or dark").click()
    assert colour() == light


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("place", ["index.html", "rows/darkroom-v1/quick/high.html", "glossary.html"])
def test_no_page_is_wider_than_its_window(browser, site, place, width):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((site / place).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", ["index.html", "rows/darkroom-v1/quick/high.html", "protocol.html"])
def test_axe_finds_nothing_serious(browser, site, place, scheme):
    page = browser.new_page(color_scheme=scheme)
    page.goto((site / place).as_uri())
    found = axe.Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["html"][:160] for node in one["nodes"]][:4])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert serious == []
    page.close()


def test_print_shows_every_table_and_no_filters(page):
    page.emulate_media(media="print")
    assert page.locator("section.table:visible").count() == 2
    assert not page.locator("form.filters").is_visible()
    assert len(page.pdf(format="A4")) > 10_000


def test_every_table_is_there_without_scripts(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / "index.html").as_uri())
    assert page.locator("section.table:visible").count() == 2
    assert not page.locator("form.filters").is_visible()
    context.close()
