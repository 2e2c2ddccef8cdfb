"""Tables of the questions, made from the frame of cells, as Markdown or for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from understudy.leaderboard import cells, controls_check
from understudy.suite import escaping
from understudy.suite.scoring import verdicts

if TYPE_CHECKING:
    import pandas as pd
    import rich.table

ANCHORS: Final = {"points an episode": "skill", "normalised gain": "normalised-gain"}  # in docs/glossary.md
LEGEND: Final = (
    "A cell holds the answer and one number with its 95 % interval: in Q1 points an episode at the start, "
    "before any learning; in Q2 and Q3 the normalised gain, which is the gain over the run divided by the "
    "teacher's gain over the same moves. An answer in round brackets says little, because Q1's skill is "
    "not shown to be the teacher's. An empty number was not measured or has no reference."
)

REASONS: Final = {  # of `Verdict.reason`, in words, where that word is short
    verdicts.NO_REFERENCE: "no reference, the teacher's gain or skill is not clearly measured",
    verdicts.NO_ROOM: "no room, the player starts near the teacher's end already",
    verdicts.FEW_ENDS: "few ends, too few episodes end in a window",
}


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; a bound that is unknown or does not exist is None."""

    value: float  # finite
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        numbers = [number for number in (self.value, self.low, self.high) if number is not None]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"an estimate is finite, an unknown number is None; found {self}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"an interval runs from low to high; found {self}")


def to_markdown(frame: pd.DataFrame, glossary: str | None = None) -> str:
    """Return one section for each benchmark and budget that has imitators, in GitHub's Markdown.

    Args:
        frame: as `cells.frame` returns it.
        glossary: path or URL of the glossary that the headings link to; None: no links.
    """
    sections = [_section(of_budget, glossary) for of_budget in budgets(frame)]
    shown = [section for section in sections if section] or ["No imitator has been scored here."]
    order = "Imitators with more points in Q1 come first; the order is not a ranking."
    return "\n\n".join([*shown, f"{LEGEND} {order} All numbers: `table.csv`."]) + "\n"


def to_terminal(of_budget: pd.DataFrame, kind: str) -> rich.table.Table | None:
    """Return a kind's rows at one benchmark and budget as a table for `rich`; None if there are none."""
    import rich.box
    import rich.table
    from rich.text import Text

    chosen = of_budget[of_budget["kind"] == kind]
    if chosen.empty:
        return None

    def literal(text: str) -> Text:  # what is not a Text is read as rich's markup
        return Text(escaping.terminal(text))

    heading = Text(escaping.terminal(title(of_budget, kind)), style="italic", justify="center")
    shown = rich.table.Table(title=heading, box=rich.box.ROUNDED, show_lines=True)
    for name in _headings(of_budget, kind, None):
        shown.add_column(literal(name))
    for line in _lines(of_budget, chosen):
        shown.add_row(*map(literal, line))
    return shown


def budgets(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the part of each benchmark and budget, in the frame's order."""
    for _, part in frame.groupby(["benchmark", "budget"], sort=False):
        yield part


def title(of_budget: pd.DataFrame, kind: str) -> str:
    """Return the title of a table."""
    first = of_budget.iloc[0]
    return f"{first['benchmark']}, budget {first['budget']}: {kind}s ({_status(first)})"


def teacher_lines(of_budget: pd.DataFrame) -> list[str]:
    """Return the teacher's numbers, a line a question, with which rows of this budget are compared."""
    lines = []
    for question, of_task in of_budget.groupby("question", sort=False):
        measured = of_task[of_task["teacher_points"].notna()]
        if not measured.empty:
            row = measured.sort_values("m", ascending=False, na_position="last", kind="stable").iloc[0]
            signed = row["shown_as"] == "normalised gain"
            units = "" if missing(row["m"]) else f", {int(row['m'])} runs"
            number = figure("", estimate(row, "teacher_points"), signed)
            lines.append(
                f"{question}: the teacher {'gains' if signed else 'scores'} {number} points an episode{units}"
            )
    return lines


def estimate(row: pd.Series[Any], name: str) -> Estimate:
    """Return one of `table_columns.ESTIMATES` of a frame's line; its value must be known."""
    bounds = (
        None if missing(row[f"{name}{bound}"]) else float(row[f"{name}{bound}"])
        for bound in ("_low", "_high")
    )
    return Estimate(float(row[name]), *bounds)


def cell_text(row: pd.Series[Any]) -> str:
    """Return a cell: the answer, in round brackets if bracketed, and one number with its interval."""
    answer = "no verdict" if missing(row["answer"]) else str(row["answer"])
    answer = f"({answer})" if row["bracketed"] else answer
    if missing(row["shown"]):
        return str(row["reason"]) if missing(row["answer"]) else answer
    return figure(f"{answer} ", estimate(row, "shown"), signed=False)


def figure(name: str, number: Estimate, signed: bool = False) -> str:
    """Return a number with its interval, e.g. `no 0.03 [unbounded, 0.40]`."""
    bounds = [bound for bound in (number.low, number.high) if bound is not None]
    decimals = _decimals(max(map(abs, [number.value, *bounds])))
    value = _number(number.value, decimals, signed)
    if not bounds:
        return f"{name}{value}"
    low, high = (
        "unbounded" if bound is None else _number(bound, decimals, signed)
        for bound in (number.low, number.high)
    )
    return f"{name}{value} [{low}, {high}]"


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in GitHub's Markdown, one line per row; a cell may contain Markdown."""
    rows = [_line(headings), _line(["---"] * len(headings))]
    return "\n".join([*rows, *(_line([_in_cell(cell) for cell in line]) for line in lines)])


def imitators_markdown(of_budget: pd.DataFrame, glossary: str | None) -> str:
    """Return the table of imitators at one benchmark and budget."""
    chosen = of_budget[of_budget["kind"] == cells.IMITATOR]
    return _table(of_budget, chosen, cells.IMITATOR, glossary)


def _section(of_budget: pd.DataFrame, glossary: str | None) -> str | None:
    """Return a section: imitators, the teacher, controls folded. None where there are no imitators."""
    imitators = of_budget[of_budget["kind"] == cells.IMITATOR]
    controls = of_budget[of_budget["kind"] == cells.CONTROL]
    if imitators.empty:
        return None
    first = of_budget.iloc[0]
    status = _status(first)
    blocks = [
        f"### {escaping.markdown(first['benchmark'])}, budget {escaping.markdown(first['budget'])}",
        _table(of_budget, imitators, cells.IMITATOR, glossary),
        "\n".join(f"- {escaping.markdown(line)}" for line in [*teacher_lines(of_budget), *notes(imitators)]),
    ]
    if not controls.empty:
        table = _table(of_budget, controls, cells.CONTROL, glossary)
        summary = f"<details><summary>{escaping.html(status)}</summary>"
        blocks.append(f"{summary}\n\n{table}\n\n</details>")
    else:
        blocks.append(escaping.markdown(status))
    return "\n\n".join(filter(None, blocks))


def _table(of_budget: pd.DataFrame, chosen: pd.DataFrame, kind: str, glossary: str | None) -> str:
    lines = [[escaping.markdown(cell) for cell in line] for line in _lines(of_budget, chosen)]
    headings = _headings(of_budget, kind, glossary)
    return "\n".join([_line(headings), _line(["---"] * len(headings)), *map(_line, lines)])


def _headings(of_budget: pd.DataFrame, kind: str, glossary: str | None) -> list[str]:
    tasks = of_budget.drop_duplicates("task")
    found = [kind]
    for question, heading in zip(tasks["question"], tasks["shown_as"], strict=True):
        anchor = ANCHORS.get(heading)
        shown = f"[{heading}]({glossary}#{anchor})" if glossary and anchor else heading
        found.append(f"{question}: {shown}")
    return found


def _lines(of_budget: pd.DataFrame, chosen: pd.DataFrame) -> Iterator[list[str]]:
    """Yield the cells of each row: its name, then one cell for each task of the budget."""
    tasks = list(of_budget["task"].unique())
    for name, of_row in chosen.groupby("name", sort=False):
        by_task = {row["task"]: row for _, row in of_row.iterrows()}
        yield [str(name), *(cell_text(by_task[task]) if task in by_task else "" for task in tasks)]


def notes(rows: pd.DataFrame) -> Iterator[str]:
    """Yield what a reader must know of rows besides their cells, and the runs that undecided answers need."""
    yield from remarks(rows)
    for _, row in rows.iterrows():
        if row["answer"] == verdicts.UNDECIDED and not missing(row["needed_runs"]):
            yield f"{row['name']}, {row['question']}: {_undecided(row)}"


def remarks(rows: pd.DataFrame) -> Iterator[str]:
    """Yield each row's notes, a line a row."""
    for name, of_row in rows.groupby("name", sort=False):
        found = of_row.iloc[0]["notes"]
        if found:
            yield f"{name}: {found}"


def reasons(rows: pd.DataFrame) -> Iterator[str]:
    """Yield why a cell has no verdict beside its number, or an undecided one, a line a cell."""
    for _, row in rows.iterrows():
        reason = _reason(row)
        if reason:
            yield f"{row['name']}, {row['question']}: {reason}"


def _reason(row: pd.Series[Any]) -> str | None:
    """Return why a cell has no verdict, or an undecided one; None if it has one or is the reason itself."""
    reason = "" if missing(row["reason"]) else str(row["reason"])
    if missing(row["answer"]):
        return f"no verdict: {REASONS.get(reason, reason)}" if not missing(row["shown"]) else None
    if row["answer"] != verdicts.UNDECIDED:
        return None
    why = REASONS.get(reason, reason) or "an interval holds one of the thresholds"
    return f"{_undecided(row)}: {why}"


def _undecided(row: pd.Series[Any]) -> str:
    needed = "" if missing(row["needed_runs"]) else f" (needs about {int(row['needed_runs']):,} runs)"
    return f"{verdicts.UNDECIDED}{needed}"


def _status(line: pd.Series[Any]) -> str:
    return controls_check.NOT_RUN if missing(line["controls"]) else str(line["controls"])


def missing(value: Any) -> bool:
    """Return whether a value of a frame's line is unknown."""
    import pandas as pd

    return bool(pd.isna(value))


def _line(line: Sequence[str]) -> str:
    return f"| {' | '.join(line)} |"


def _decimals(largest: float) -> int:
    return 0 if largest >= 100 else 1 if largest >= 10 else 2


def _number(value: float, decimals: int, signed: bool = False) -> str:
    rounded = round(value, decimals) + 0.0  # + 0.0: no "-0.00"
    return f"{rounded:{'+' if signed and rounded else ''},.{decimals}f}"


def _in_cell(text: str) -> str:
    """Return Markdown that cannot break its table cell."""
    kept = escaping.terminal(" ".join(text.split()))
    return kept.replace("\\", "\\\\").replace("|", "\\|")
