"""The site's pages: whole, linked, escaped, the same bytes twice, and no larger than promised."""

import copy
import html.parser
import json
import re
import shutil
from pathlib import PurePosixPath

import pytest
from support import sites

from understudy.leaderboard import control_texts, scores, stored_rows
from understudy.leaderboard.site import reading, site_data, site_folder, site_pages
from understudy.suite import reserved_names

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\"'=cmd()"


class Page(html.parser.HTMLParser):
    """Collects ids, links and elements of a page."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.ids, self.links, self.tags, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append((tag, values))
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])

    def handle_data(self, data):
        self.text.append(data)


def built(data):
    return dict(site_pages.pages(data))


@pytest.fixture(scope="module")
def pages():
    return built(sites.three())


def test_there_is_a_page_for_each_row_and_benchmark(pages):
    assert {
        "index.html",
        "data.json",
        "benchmarks/darkroom-v1.html",
        "rows/darkroom-v1/quick/high.html",
        "rows/darkroom-v1/quick/random.html",
        "glossary.html",
        "protocol.html",
    } <= set(pages)


def test_the_document_under_the_pages_is_the_data(pages):
    assert json.loads(pages["data.json"]) == sites.three()


def test_every_link_leads_to_a_page_and_an_anchor_of_the_site(pages):
    found = {place: Page(text.decode()) for place, text in pages.items() if place.endswith(".html")}
    checked = 0
    for place, page in found.items():
        assert len(page.ids) == len(set(page.ids)), place
        for link in page.links:
            path, _, anchor = link.partition("#")
            if "://" in link:
                continue
            target = place if not path else _resolved(place, path)
            assert target in pages, (place, link)
            if anchor and target.endswith(".html"):
                assert anchor in found[target].ids, (place, link)
            checked += 1
    assert checked > 20


def test_nothing_is_fetched_from_anywhere(pages):
    for place, text in pages.items():
        for tag, values in Page(text.decode()).tags if place.endswith(".html") else []:
            assert tag not in ("link", "img", "iframe"), place
            assert not (tag == "script" and "src" in values), place


def test_hostile_text_is_shown_as_text_in_every_page():
    data = copy.deepcopy(sites.three())
    row = data["tables"][0]["rows"][2]
    row |= {
        "name": HOSTILE,
        "architecture": HOSTILE,
        "watched": HOSTILE,
        "notes": [HOSTILE],
        "not_ranked_because": [HOSTILE],
        "training": {HOSTILE: HOSTILE},
    }
    row["cells"]["improvement"]["reason"] = HOSTILE
    data["left_out"] = [{"row": HOSTILE, "why": HOSTILE}]
    for place, text in built(data).items():
        if not place.endswith(".html"):
            continue
        page = Page(text.decode())
        scripts = [values for tag, values in page.tags if tag == "script"]
        assert len(scripts) == 1, place
        assert b"\x1b" not in text
        assert "\u202e" not in text.decode()
    index = "".join(Page(built(data)["index.html"].decode()).text)
    assert "<script>alert(1)</script>\\x1b[31m\\u202e" in index


def test_the_policy_lets_only_the_pages_own_script_run(pages):
    text = pages["index.html"].decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 2


def test_two_builds_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        site_folder.write(sites.three(), tmp_path / name)
    one, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "other")
    )
    assert one == other


def test_pages_of_rows_that_are_gone_are_removed_and_other_files_stay(tmp_path):
    site_folder.write(sites.three(), tmp_path)
    (tmp_path / "rows" / "notes.txt").write_text("mine")
    fewer = sites.three()
    del fewer["tables"][0]["rows"][1]
    site_folder.write(fewer, tmp_path)
    assert not (tmp_path / "rows/darkroom-v1/quick/middle.html").exists()
    assert (tmp_path / "rows/darkroom-v1/quick/high.html").is_file()
    assert (tmp_path / "rows" / "notes.txt").read_text() == "mine"


def test_a_forged_document_of_an_earlier_site_removes_nothing_outside(tmp_path):
    victim = tmp_path / "victim.html"
    victim.write_text("kept")
    out = tmp_path / "site"
    out.mkdir()
    forged = {"tables": [{"benchmark": "../victim", "rows": [{"place": "../../victim"}]}]}
    (out / "data.json").write_text(json.dumps(forged))
    site_folder.write(sites.three(), out)
    assert victim.read_text() == "kept"


def test_first_page_of_a_hundred_submissions_stays_under_a_megabyte():
    data = sites.three()
    rows = data["tables"][0]["rows"]
    rows += [
        {**copy.deepcopy(rows[0]), "name": f"s-{i}", "place": f"darkroom-v1/quick/s-{i}"} for i in range(100)
    ]
    assert len(built(data)["index.html"]) < 1_000_000


def test_the_headline_names_who_keeps_learning_and_where():
    data = sites.three()
    assert reading.sentence(data["tables"]) == (
        "Of 2 ranked imitators, one keeps learning: high learns games that it never saw (Q3, darkroom-v1). "
        "None is shown to keep improving (Q2)."
    )
    other = copy.deepcopy(data["tables"][0])
    assert reading.sentence([*data["tables"], other]).startswith("Of 4 ranked imitators in 2 tables, one ")
    both = copy.deepcopy(other)
    both["rows"][0]["cells"]["improvement"]["answer"] = "yes"
    assert reading.sentence([both]) == (
        "Of 2 ranked imitators, one keeps learning: high keeps improving (Q2, darkroom-v1) and learns games "
        "that it never saw (Q3, darkroom-v1). The others are not shown to."
    )
    data["tables"][0]["rows"][0]["cells"]["transfer"]["answer"] = "yes (unverified)"
    assert "(Q3, darkroom-v1, not verified yet)" in reading.sentence(data["tables"])
    data["tables"][0]["rows"][0]["cells"]["transfer"]["answer"] = "no"
    assert reading.sentence(data["tables"]) == "Of 2 ranked imitators, none is shown to keep learning."


def test_an_unranked_yes_is_in_no_headline():
    data = sites.three()
    data["tables"][0]["rows"][0]["ranked"] = False
    assert reading.sentence(data["tables"]) == "Of one ranked imitator, none is shown to keep learning."


def test_cards_name_the_best_and_who_cannot_be_told_apart():
    skill, improvement, transfer = reading.cards(sites.three()["tables"][0])
    assert (skill.kind, skill.answer) == ("some", "Yes: high")
    assert skill.best == (
        "Highest: high, 8.00 points an episode, the teacher 8.00; middle cannot be told apart from it."
    )
    assert (improvement.kind, improvement.answer) == ("none", "No imitator does")
    assert transfer.best == "Highest: high, 0.80 of the teacher's gain."


def test_a_yes_that_is_not_verified_says_what_was_not_measured():
    table = sites.three()["tables"][0]
    table["rows"][0]["cells"]["transfer"].update(answer="yes (unverified)", reason="not measured: retrained")
    assert reading.cards(table)[2].best.endswith("gain. Not verified yet: not measured: retrained.")


def test_an_undecided_imitator_is_not_said_to_fail():
    data = sites.three()["tables"][0]
    data["rows"][1]["cells"]["improvement"]["answer"] = "undecided"
    assert reading.cards(data)[1].answer == "Not shown for any imitator"


def test_a_site_without_rows_says_so():
    assert "No row was scored here." in built(sites.document([]))["index.html"].decode()


def test_rows_that_were_left_out_are_named():
    data = sites.document([], left_out=[{"row": "darkroom-v1/quick/bad", "why": "row.json: no such file"}])
    page = built(data)["index.html"].decode()
    assert "darkroom-v1/quick/bad" in page
    assert "row.json: no such file" in page


def _resolved(place, path):
    parts = list(PurePosixPath(place).parent.parts)
    for part in PurePosixPath(path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Rows of the stored results with their references, as a document and as what is stored of them."""
    results = tmp_path_factory.mktemp("stored") / "results"
    names = ("bc", "bc-time", "transformer", "random", "frozen-teacher")
    for name in names:
        source = stored_rows.RESULTS / "darkroom-v1" / "quick" / name
        shutil.copytree(source, results / "darkroom-v1" / "quick" / name)
    scorer = scores.RowScorer(results)
    scored = scores.score_with(scorer, stored_rows.rows_in(results))
    kept = {
        name: json.loads((results / "darkroom-v1" / "quick" / name / scores.SCORES).read_text("utf-8"))
        for name in names
    }
    return site_data.document(scored, scorer), kept


def test_the_document_says_what_the_stored_scores_say(stored):
    data, kept = stored
    (table,) = data["tables"]
    shown = {"skill": "imitator", "improvement": "normalised gain", "transfer": "normalised gain"}
    checked = 0
    for row in table["rows"]:
        for verdict in kept[row["name"]]["verdicts"]:
            cell = row["cells"][verdict["task"]]
            number = verdict["numbers"].get(shown[verdict["task"]])
            assert cell["answer"] == verdict["answer"]
            own = number and {key: number[key] for key in ("estimate", "low", "high")}
            assert cell["value"] == (own and pytest.approx(own, rel=1e-9))  # another scipy, other last bits
            checked += cell["value"] is not None
    assert checked >= 12


def test_the_document_is_json_without_odd_numbers(stored):
    data, _ = stored
    assert json.loads(site_data.to_bytes(data)) == data


def test_the_page_about_the_document_names_every_key(stored):
    data, _ = stored
    page = (site_pages.DOCS / "site.md").read_text(encoding="utf-8")
    (table,) = data["tables"]
    row = table["rows"][0]
    (cell, *_), (curve, *_), (horizon, *_) = (
        list(row[key].values()) for key in ("cells", "curves", "horizons")
    )
    for values in (data, table, *table["tasks"], table["teacher"]["transfer"], row, cell, curve):
        for key in set(values) - {"edges", "runs", "yes_share", "end_moves", "parts"}:
            assert f"`{key}`" in page, key
    assert {"demonstrated_to", "refuted_from", "windows"} <= set(horizon)


def test_the_teachers_curve_over_the_watched_moves_rises_to_its_skill_at_w(stored):
    data, _ = stored
    curve = data["tables"][0]["watched_curve"]
    assert curve["edges"][-1] == 1_300
    assert curve["blocks"][0]["estimate"] < 0.5 < 4 < curve["blocks"][-1]["estimate"]


def test_pages_of_stored_rows_have_their_numbers_and_every_pair(stored):
    data, kept = stored
    found = {place: text.decode() for place, text in built(data).items()}
    page = "".join(Page(found["rows/darkroom-v1/quick/bc.html"]).text)
    (skill,) = [each for each in kept["bc"]["verdicts"] if each["task"] == "skill"]
    assert f"{skill['numbers']['imitator']['estimate']:.2f}" in page
    assert "understudy verify leaderboard/results/darkroom-v1/quick/bc" in page
    pairs = Page(found["compare/darkroom-v1-quick.html"])
    rows = [values for tag, values in pairs.tags if tag == "tr" and "data-one" in values]
    assert len(rows) == 3 * 3  # three imitators have three pairs in each of three questions


def test_every_control_says_what_it_is():
    for name in reserved_names.CONTROLS.glob("[a-z]*.py"):
        assert control_texts.what(name.stem.replace("_", "-")), name
    assert control_texts.what("injected-0.25") == control_texts.what("injected")
    assert control_texts.what("nobody") is None
