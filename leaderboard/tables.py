"""The question's table: rows of verdicts with their figures, as Markdown, CSV or on the terminal."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import rich.table

QUESTIONS: Final = ("skill", "improvement", "transfer")
HEADINGS: Final = ("", "Q1 skill", "Q2 improvement", "Q3 transfer")
GAINS: Final = {"improvement": "Q2", "transfer": "Q3"}  # the questions about a gain, which have a horizon
H50: Final = "H50 (exploratory)"
VERDICTS: Final = (
    "yes",
    "yes (unverified)",
    "above",
    "partial",
    "no",
    "undecided",
    "no room",
    "no ruler",
)
KINDS: Final = ("argued", "ruler", "control", "submission")
NOT_CHECKED: Final = "instrument not checked"
LEGEND: Final = (
    "Q1: points an episode at the start, without learning. Q2, Q3: the gain in points an episode over the "
    "life; f is that gain as a share of the teacher's, shown only where the ruler allows a verdict. In "
    "square brackets: 95 % intervals. A verdict in round brackets says little, since Q1 was not reached."
)

HORIZON_LEGEND: Final = (
    "H50: the moves to which at least half of the teacher's gain is demonstrated / from which it is refuted, "
    "`-` where there is none. It describes and decides nothing: its eight steps are eight chances to refute, "
    "and a player of exactly half the gain is refuted at one of them in 18 % of cases (by simulation)."
)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; a bound that isn't known, or doesn't exist, is None."""

    value: float  # finite
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        numbers = [number for number in (self.value, self.low, self.high) if number is not None]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"an estimate is finite, what is unknown is None; found {self}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"an interval runs from low to high; found {self}")


@dataclass(frozen=True)
class Cell:
    """One answer: a verdict, or the reason why there is none, with what was measured."""

    verdict: str | None = None  # one of VERDICTS; None where nothing is ruled
    reason: str = ""  # why there is no verdict, or why it is undecided
    points: Estimate | None = None  # points an episode: Q1 at the start, Q2 and Q3 own gain
    share: Estimate | None = None  # Q2 and Q3: f, own gain as a share of the ruler's; None where not ruled
    likeness: Estimate | None = None  # Q1: agreement above the constant player's, as a share of the ceiling's
    bracketed: bool = False  # Q2 of a player without Q1's skill
    marks: tuple[str, ...] = ()  # what qualifies the verdict or the figures: provisional, built-in, few ends
    horizon: str | None = None  # Q2 and Q3: H50 as `160k / 640k`; empty: not measured; None: no such task

    def __post_init__(self) -> None:
        if self.verdict is not None and self.verdict not in VERDICTS:
            raise ValueError(f"a verdict is one of {', '.join(VERDICTS)}; found {self.verdict!r}")


@dataclass(frozen=True)
class Row:
    """One player's answers to the three questions."""

    name: str  # as shown: a submission's name, or who the player is
    kind: str  # one of KINDS
    skill: Cell = field(default_factory=Cell)
    improvement: Cell = field(default_factory=Cell)
    transfer: Cell = field(default_factory=Cell)
    note: str = ""  # track, badge, number of units: what a reader must know of this row

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: a row's kind is one of {', '.join(KINDS)}; found {self.kind!r}")

    @property
    def cells(self) -> tuple[Cell, Cell, Cell]:
        """The cells in the order of QUESTIONS."""
        return self.skill, self.improvement, self.transfer

    @property
    def horizons(self) -> dict[str, str]:
        """H50 of each question about a gain that was put; empty where it was not measured."""
        cells = {question: getattr(self, question) for question in GAINS}
        return {question: cell.horizon for question, cell in cells.items() if cell.horizon is not None}


@dataclass(frozen=True)
class Table:
    """Rows that may be compared: one benchmark, one budget."""

    benchmark: str  # versioned name, e.g. "minatar-v1"
    budget: str  # "quick", "tenth" or "full"
    rows: tuple[Row, ...]
    instrument: str | None = None  # result of the instrument check; None where it wasn't made
    notes: tuple[str, ...] = ()  # e.g. "teacher life incomplete: 203412 of 1000000"

    @property
    def has_horizons(self) -> bool:
        """Whether any question about a gain was put."""
        return any(row.horizons for row in self.rows)


def ideal_row() -> Row:
    """Return the ideal imitator's row, which is argued and never measured.

    Source: Hutter, Universal Artificial Intelligence, 2005 (Solomonoff induction as the predictor).
    """
    yes = Cell(verdict="yes", reason="argued")
    return Row("ideal imitator: Solomonoff induction", "argued", yes, yes, yes, note="not measured")


def to_markdown(tables: Sequence[Table]) -> str:
    """Return one section a table, in GitHub's Markdown, with the legend at the end."""
    legends = [LEGEND, *([HORIZON_LEGEND] if any(table.has_horizons for table in tables) else [])]
    return "\n\n".join([*map(_section, tables), *legends]) + "\n"


def to_csv(tables: Sequence[Table]) -> str:
    """Return one line a row; a number is written in full, what is unknown is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(_header()), lineterminator="\n")
    writer.writeheader()
    for table in tables:
        writer.writerows(_record(table, row) for row in table.rows)
    return text.getvalue()


def to_terminal(table: Table) -> rich.table.Table:
    """Return a table for `rich.console.Console.print`."""
    import rich.box
    import rich.table
    from rich.text import Text

    caption = "\n".join([*table.notes, *([HORIZON_LEGEND] if table.has_horizons else [])]) or None
    shown = rich.table.Table(title=_title(table), caption=caption, box=rich.box.ROUNDED, show_lines=True)
    for heading in _headings(table):
        shown.add_column(heading, overflow="fold")
    for row in table.rows:
        cells = [_label(row), *("\n".join(parts) for parts in _cells(table, row))]
        shown.add_row(*map(Text, cells))  # Text: a name may hold what rich takes for markup
    return shown


def figure(name: str, estimate: Estimate, signed: bool = False) -> str:
    """Return a number with its interval, e.g. `f 0.03 [unbounded, 0.40]`."""
    bounds = [bound for bound in (estimate.low, estimate.high) if bound is not None]
    decimals = _decimals(max(map(abs, [estimate.value, *bounds])))
    number = _number(estimate.value, decimals, signed)
    if not bounds:
        return f"{name}{number}"
    low, high = (
        "unbounded" if b is None else _number(b, decimals, signed) for b in (estimate.low, estimate.high)
    )
    return f"{name}{number} [{low}, {high}]"


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in GitHub's Markdown, one line a row; a cell may hold Markdown."""
    rows = [_line(headings), _line(["---"] * len(headings))]
    return "\n".join([*rows, *(_line([_in_cell(cell) for cell in line]) for line in lines)])


def _section(table: Table) -> str:
    headings = _headings(table)
    lines = [_line(headings), _line(["---"] * len(headings))]
    for row in table.rows:
        cells = ["; ".join(parts) for parts in _cells(table, row)]
        lines.append(_line([_literal(_label(row)), *map(_in_cell, cells)]))
    notes = [f"- {_literal(note)}" for note in table.notes]
    blocks = [f"### {_literal(_title(table))}", "\n".join(lines), *(["\n".join(notes)] if notes else [])]
    return "\n\n".join(blocks)


def _headings(table: Table) -> tuple[str, ...]:
    return (*HEADINGS, H50) if table.has_horizons else HEADINGS


def _cells(table: Table, row: Row) -> Iterator[list[str]]:
    """Yield the readable pieces of each cell of a row after its label, that of the horizons where shown."""
    for question, cell in zip(QUESTIONS, row.cells, strict=True):
        yield list(_parts(question, cell))
    if table.has_horizons:
        yield [f"{GAINS[question]} {text or 'not measured'}" for question, text in row.horizons.items()]


def _title(table: Table) -> str:
    return f"{table.benchmark}, budget {table.budget}: {table.instrument or NOT_CHECKED}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _label(row: Row) -> str:
    return f"{row.name} ({row.note})" if row.note else row.name


def _parts(question: str, cell: Cell) -> Iterator[str]:
    """Yield the readable pieces of a cell: verdict, reason, figures."""
    verdict = f"({cell.verdict})" if cell.verdict and cell.bracketed else cell.verdict
    opening = ": ".join(filter(None, (verdict, cell.reason)))
    if opening:
        yield opening
    if cell.points is not None:
        yield (
            figure("" if question == "skill" else "gain ", cell.points, signed=question != "skill")
            + " points"
        )
    if cell.share is not None:
        yield figure("f ", cell.share)
    if cell.likeness is not None:
        yield figure("likeness ", cell.likeness)
    yield from cell.marks
    if not opening and cell.points is None:
        yield "not measured"


def _decimals(largest: float) -> int:
    return 0 if largest >= 100 else 1 if largest >= 10 else 2


def _number(value: float, decimals: int, signed: bool = False) -> str:
    rounded = round(value, decimals) + 0.0  # + 0.0: no "-0.00"
    return f"{rounded:{'+' if signed and rounded else ''},.{decimals}f}"


def _in_cell(text: str) -> str:
    """Return text that stays in its table cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def _literal(text: str) -> str:
    """Return text that stays in its table cell and is shown as it is: names are chosen by strangers."""
    kept = _in_cell(text)
    for mark in "`*_<>[]":
        kept = kept.replace(mark, f"\\{mark}")
    return kept


def _header() -> Iterator[str]:
    yield from ("benchmark", "budget", "instrument", "name", "kind", "note")
    for question in QUESTIONS:
        yield from (f"{question}_{name}" for name in ("verdict", "reason", "bracketed", "marks"))
        for figure in ("points", "share", "likeness"):
            yield from (f"{question}_{figure}", f"{question}_{figure}_low", f"{question}_{figure}_high")
        if question in GAINS:
            yield f"{question}_h50"


def _record(table: Table, row: Row) -> Mapping[str, Any]:
    """Return one CSV line; csv writes None as an empty field and a float in full."""
    instrument = table.instrument or NOT_CHECKED
    first = (table.benchmark, table.budget, instrument, row.name, row.kind, row.note)
    values: list[Any] = [*first]
    for question, cell in zip(QUESTIONS, row.cells, strict=True):
        values += [cell.verdict, cell.reason, "true" if cell.bracketed else "false", "; ".join(cell.marks)]
        for estimate in (cell.points, cell.share, cell.likeness):
            values += [None] * 3 if estimate is None else [estimate.value, estimate.low, estimate.high]
        values += [cell.horizon] if question in GAINS else []
    return dict(zip(_header(), values, strict=True))
