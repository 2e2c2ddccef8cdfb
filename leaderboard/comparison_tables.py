"""Tables of a comparison, for a terminal and as Markdown, CSV, LaTeX and HTML: a line a pair of rows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from understudy.leaderboard import comparison, table_files, tables
from understudy.leaderboard.comparison import ComparedPair, ComparedRow, Comparison, Question
from understudy.suite import escaping
from understudy.suite.scoring import pairs
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.pairs import Pair

if TYPE_CHECKING:
    import pandas as pd
    import rich.table

HEADINGS: Final = (
    "rows",
    "difference",
    "shown",
    "probability of improvement",
    "units",
    "more runs that would tell",
)
NUMBERS: Final = (1, 3)  # the headings whose cells are numbers only
ESTIMATES: Final = ("difference", "points", "normalised_gain", "probability_of_improvement")
MOST_DECIMALS: Final = 6
LATEX_HEAD: Final = "% needs \\usepackage{booktabs}"


def to_terminal(found: Comparison) -> Iterator[rich.table.Table]:
    """Yield a table for `rich` a question, without the notes of `notes`."""
    import rich.box
    import rich.table
    from rich.text import Text

    def literal(text: str) -> Text:  # what is not a Text is read as rich's markup
        return Text(escaping.terminal(text))

    for question in found.questions:
        shown = rich.table.Table(
            title=Text(heading(found, question), style="italic", justify="center"),
            caption=Text(escaping.terminal("; ".join(own_numbers(question))), justify="center"),
            box=rich.box.ROUNDED,
            show_lines=True,
        )
        for name in HEADINGS:
            shown.add_column(literal(name))
        for line in lines(question):
            shown.add_row(*map(literal, line))
        yield shown


def to_markdown(found: Comparison) -> str:
    """Return a comparison in GitHub's Markdown: a section a question, and what must be known."""
    sections = [_markdown_section(found, question) for question in found.questions]
    listed = "\n".join(f"- {escaping.markdown(line)}" for line in notes(found))
    return "\n\n".join([*sections, listed]) + "\n"


def _markdown_section(found: Comparison, question: Question) -> str:
    rows = [HEADINGS, ["---"] * len(HEADINGS)]
    for line in lines(question):
        cells = [
            cell if place in NUMBERS else escaping.markdown(cell) for place, cell in enumerate(line)
        ]  # a number escaped like a word would begin with a backslash
        rows.append(cells)
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    own = escaping.markdown("; ".join(own_numbers(question)))
    return f"### {escaping.markdown(heading(found, question))}\n\n{table}\n\n{own}"


def to_csv(found: Comparison) -> str:
    """Return every number in full, a line a question and pair; an unknown one is an empty field."""
    return table_files.to_csv(frame(found))


def to_latex(found: Comparison) -> str:
    """Return a `tabular` with the rules of booktabs; what must be known are comments above it."""
    comments = [title(found), *notes(found)]
    body = [rf"\begin{{tabular}}{{{'l' * len(HEADINGS)}}}", r"\toprule", _latex_line(HEADINGS)]
    for question in found.questions:
        label = escaping.latex(f"{question.label}: {question.heading}")
        body += [r"\midrule", rf"\multicolumn{{{len(HEADINGS)}}}{{l}}{{\emph{{{label}}}}} \\"]
        body += map(_latex_line, lines(question))
        comments += [f"{question.label}: {own}" for own in own_numbers(question)]
    shown = [f"% {escaping.terminal(line)}" for line in comments]
    return "\n".join([LATEX_HEAD, *shown, *body, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_line(cells: Sequence[str]) -> str:
    """Return a line of a `tabular`; the sign of a number is a minus, not a hyphen."""
    shown = [escaping.latex(cell) for cell in cells]
    for place in NUMBERS:
        shown[place] = re.sub(r"-(?=\d)", "$-$", shown[place])
    return " & ".join(shown) + r" \\"


def to_html(found: Comparison, picture: str) -> str:
    """Return a page of its own: a table a question, what must be known, and a picture, an SVG element."""
    tables_of_questions = "\n".join(_html_section(found, question) for question in found.questions)
    listed = "\n".join(f"<li>{escaping.html(line)}</li>" for line in notes(found))
    shown = escaping.html(title(found))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{shown}</title>\n'
        "<style>body{font:1rem/1.4 system-ui,sans-serif;margin:2rem}svg{max-width:100%;height:auto}"
        "table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;"
        f"border-bottom:1px solid #999}}</style>\n</head>\n<body>\n<h1>{shown}</h1>\n"
        f"{tables_of_questions}\n<ul>\n{listed}\n</ul>\n{picture}\n</body>\n</html>\n"
    )


def _html_section(found: Comparison, question: Question) -> str:
    head = "".join(f'<th scope="col">{escaping.html(cell)}</th>' for cell in HEADINGS)
    body = "\n".join(
        f"<tr>{''.join(f'<td>{escaping.html(cell)}</td>' for cell in line)}</tr>" for line in lines(question)
    )
    return (
        f"<h2>{escaping.html(heading(found, question))}</h2>\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n<p>{escaping.html('; '.join(own_numbers(question)))}</p>"
    )


def title(found: Comparison) -> str:
    """Return what is compared, and where."""
    return f"{', '.join(found.names)}: {found.benchmark}, budget {found.budget}"


def heading(found: Comparison, question: Question) -> str:
    """Return the title of a question's table."""
    return f"{question.label}: {question.heading} ({found.benchmark}, budget {found.budget})"


def notes(found: Comparison) -> list[str]:
    """Return what a reader must know of a comparison, a line each: its intervals, then its notes."""
    confidence = f"{100 * found.confidence:g} %"
    together = (
        f"differences and probabilities have {confidence} intervals"
        if found.num_pairs == 1
        else f"the intervals of a question's {found.num_pairs} differences hold together in {confidence} of "
        "cases (Bonferroni), and so do those of its probabilities; a row's own number has its own "
        f"{confidence} interval"
    )
    return [
        together,
        "two rows are told apart if the interval of their difference does not hold 0; whether the intervals "
        "of their own numbers overlap decides nothing",
        "units are teacher runs or goals in a method claim, and runs of the one model in a checkpoint claim",
        *found.notes,
    ]


def own_numbers(question: Question) -> list[str]:
    """Return each row's answer and number, as in the tables of rows."""
    return [_own_number(row) for row in question.rows]


def _own_number(row: ComparedRow) -> str:
    if row.number is None:
        return f"{row.name} {row.answer}" + (f" ({row.reason})" if row.reason else "")
    number = tables.Estimate(row.number.estimate, row.number.low, row.number.high)
    return tables.figure(f"{row.name} {row.answer} ", number)


def lines(question: Question) -> Iterator[list[str]]:
    """Yield the cells under HEADINGS, as plain text, a line a pair."""
    for each in question.pairs:
        yield [f"{each.one} - {each.other}", *_cells(each, question)]


def _cells(each: ComparedPair, question: Question) -> list[str]:
    """Return the cells that compare: difference, what is shown, probability, units, and the runs needed."""
    pair, difference = each.pair, comparison.shown_difference(each.pair, question.is_gain)
    if pair is None or difference is None:
        return ["", f"not compared: {each.reason}", "", "", ""]
    measured = comparison.shown_as(pair, question.is_gain)
    unit = "" if measured == question.heading else f" {measured}"
    above = {pairs.ABOVE: each.one, pairs.BELOW: each.other}
    shown = f"{above[pair.shown]} is above" if pair.shown else "not told apart"
    probability = "" if pair.improvement is None else _text(pair.improvement)
    return [f"{_text(difference, signed=True)}{unit}", shown, probability, _units(pair), _more(pair)]


def _units(pair: Pair) -> str:
    one, other = pair.units
    return f"{one} shared, paired" if pair.paired else f"{one} and {other}, independent"


def _more(pair: Pair) -> str:
    """Return how many more units would probably tell two rows apart, or why that is not known."""
    if pair.shown:
        return ""
    if pair.needed_units is None:
        return f"unknown: {pair.reason}"
    one, other = (max(0, pair.needed_units - n) for n in pair.units)
    if pair.paired:
        return f"about {_about(one)} more shared units"
    return (
        f"about {_about(one)} more each" if one == other else f"about {_about(one)} and {_about(other)} more"
    )


def _text(interval: Interval, signed: bool = False) -> str:
    """Return an estimate with its interval; of one beyond 0, no bound is rounded to 0."""
    bounds = [bound for bound in (interval.low, interval.high) if bound is not None]
    decimals = 2
    if interval.above(0.0) or interval.below(0.0):
        nearest = min(abs(bound) for bound in bounds)
        decimals = min(MOST_DECIMALS, max(decimals, math.ceil(-math.log10(nearest))))
    shown = [_number(value, decimals, signed) for value in (interval.estimate, *bounds)]
    return f"{shown[0]} [{', '.join(shown[1:]) or 'unknown'}]"


def _number(value: float, decimals: int, signed: bool) -> str:
    rounded = round(value, decimals) + 0.0  # + 0.0: no "-0.00"
    return f"{rounded:{'+' if signed and rounded else ''},.{decimals}f}"


def frame(found: Comparison) -> pd.DataFrame:
    """Return one line a question and pair: names, every number with its bounds, units, and reasons."""
    import pandas as pd

    document = found.as_json()
    records: list[dict[str, Any]] = []
    for question in document["questions"]:
        own = {row["name"]: row for row in question["rows"]}
        for pair in question["pairs"]:
            records.append(
                {
                    "benchmark": found.benchmark,
                    "budget": found.budget,
                    "task": question["task"],
                    "question": question["label"],
                    **{key: pair[key] for key in ("one", "other")},
                    "number": question["number"],
                    **_bounds("one_number", own[pair["one"]]["number"]),
                    **_bounds("other_number", own[pair["other"]]["number"]),
                    "difference_of": pair["difference_of"],
                    **{key: value for name in ESTIMATES for key, value in _bounds(name, pair[name]).items()},
                    "confidence": pair["points"]["confidence"] if pair["points"] else None,
                    "shown": pair["shown"],
                    "paired": pair["paired"],
                    "one_units": pair["units"][0] if pair["units"] else None,
                    "other_units": pair["units"][1] if pair["units"] else None,
                    "needed_units": pair["needed_units"],
                    "reason": pair["reason"],
                }
            )
    return pd.DataFrame(records).astype(dict.fromkeys(("one_units", "other_units", "needed_units"), "Int64"))


def _bounds(name: str, interval: dict[str, Any] | None) -> dict[str, float | None]:
    return {
        f"{name}{suffix}": None if interval is None else interval[key]
        for suffix, key in (("", "estimate"), ("_low", "low"), ("_high", "high"))
    }


def _about(count: int) -> str:
    """Return a count rounded up to two digits, as it is no more certain than that."""
    step: int = 10 ** max(0, len(str(count)) - 2)
    return f"{-(-count // step) * step:,}"
