"""The site's pages, rendered from its data with the templates beside this file.

Everything is inside the pages: style sheet and script are embedded, nothing is fetched, and a page works from
a file. The same data gives the same bytes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from understudy.leaderboard import tables
from understudy.leaderboard.site import markdown_pages, reading, site_charts, site_data
from understudy.leaderboard.site.row_films import Films
from understudy.suite import escaping

if TYPE_CHECKING:
    import jinja2

HERE: Final = Path(__file__).resolve().parent
DOCS: Final = HERE.parent.parent / "docs"  # of a checkout; none in a wheel
TEXT_PAGES: Final = {"protocol": "Protocol", "glossary": "Glossary"}  # of DOCS: name -> title
MOST_GAMES_NAMED: Final = 4
Json = Mapping[str, Any]


def pages(data: Json, films: Films | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield each file of the site as its path and content: the pages, and the data that they show.

    Args:
        data: of `site_data.document`.
        films: of rows, shown on their pages.
    """
    texts = {name: DOCS / f"{name}.md" for name in TEXT_PAGES if (DOCS / f"{name}.md").is_file()}
    environment = _environment()
    shared = {
        "data": data,
        "reading": reading,
        "anchors": tables.ANCHORS if "glossary" in texts else {},
        "nav": list({table["benchmark"]: table for table in data["tables"]}.values()),
        "text_pages": [{"path": f"{name}.html", "title": TEXT_PAGES[name]} for name in texts],
        "cards": reading.cards,
        "games": _games,
        "teacher_said": _teacher_said,
        "question_chart": _question_chart,
        "scatter_charts": _scatter_charts,
        "row_chart": _row_chart,
        "horizon_chart": _horizon_chart,
        "values": functools.partial(_values, data),
        **_embedded(),
    }

    def render(template: str, depth: int, **more: Any) -> bytes:
        root = "../" * depth
        return environment.get_template(template).render(**shared, root=root, **more).encode()

    yield "data.json", site_data.to_bytes(data)
    yield "index.html", render("index.html", 0)
    for table in shared["nav"]:
        yield benchmark_page(table["benchmark"]), render("benchmark.html", 1, benchmark=table["benchmark"])
    for table in data["tables"]:
        for row in table["rows"]:
            shown = (films or {}).get(row["place"], {})
            yield row_page(row["place"]), render("row.html", 3, table=table, row=row, films=shown)
        if table["comparison"] is not None:
            yield compare_page(table["id"]), render("compare.html", 1, table=table, found=table["comparison"])
    for name, path in texts.items():
        linked = frozenset(f"{other}.md" for other in texts)
        text = _markup(markdown_pages.to_html(path.read_text(encoding="utf-8"), linked))
        yield f"{name}.html", render("text.html", 0, title=TEXT_PAGES[name], text=text)


def benchmark_page(benchmark: str) -> str:
    """Return the path of a benchmark's page in the site."""
    return f"benchmarks/{benchmark}.html"


def row_page(place: str) -> str:
    """Return the path of the page of a row, whose place is `<benchmark>/<budget>/<name>`."""
    return f"rows/{place}.html"


def compare_page(table: str) -> str:
    """Return the path of the page that compares the rows of a table."""
    return f"compare/{table}.html"


def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates", encoding="utf-8"),
        autoescape=True,
        finalize=_readable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _readable(value: Any) -> Any:
    """Return what a template shows of a value: text of a stranger in one line, without control characters."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return escaping.one_line(value)
    return value


def _embedded() -> dict[str, Any]:
    """Return the style sheet and the script, and the policy that lets a page run these and nothing else."""
    style = (HERE / "assets" / "site.css").read_text(encoding="utf-8")
    script = (HERE / "assets" / "site.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return {"style": _markup(style), "script": _markup(script), "policy": _markup(policy)}


def _hash(text: str) -> str:
    """Return the source expression of an embedded text in a Content Security Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _markup(text: str) -> Any:
    import markupsafe

    return markupsafe.Markup(text)


def _question_chart(table: Json, task: str) -> Any:
    asked = next(each for each in table["tasks"] if each["name"] == task)
    return _markup(site_charts.question(table, asked) or "")


def _row_chart(table: Json, row: Json, task: Json) -> Any:
    return _markup(site_charts.row_curve(table, row, task) or "")


def _horizon_chart(row: Json, task: Json) -> Any:
    return _markup(site_charts.horizon(row, task) or "")


def _scatter_charts(table: Json) -> list[Any]:
    return [
        _markup(picture) for task in table["tasks"] for picture in site_charts.scatters(table, task).values()
    ]


def _games(names: list[str]) -> str:
    short = [name.partition("/")[2] for name in names]
    more = len(short) - MOST_GAMES_NAMED
    return ", ".join(short) if more <= 0 else f"{', '.join(short[:MOST_GAMES_NAMED])} and {more} more"


def _teacher_said(table: Json) -> str:
    """Return the teacher's numbers in a sentence a question."""
    said = []
    for task in table["tasks"]:
        teacher = table["teacher"][task["name"]]
        if teacher is not None:
            verb = "gains" if task["asks_about_gain"] else "scores"
            number = reading.interval(teacher["points"], signed=task["asks_about_gain"])
            runs = f", {teacher['runs']} runs" if teacher["runs"] else ""
            said.append(f"{task['label']}: the teacher {verb} {number.strip()} points an episode{runs}.")
    return " ".join(said)


def _values(data: Json, key: str) -> list[str]:
    """Return the values of a key among the imitators, for a filter."""
    found = {row[key] for table in data["tables"] for row in table["rows"] if not row["control"]}
    return sorted(value for value in found if value)
