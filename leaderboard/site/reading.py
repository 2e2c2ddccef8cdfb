"""What the data says, in words: the answer to each question, and which imitators are best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from understudy.leaderboard import tables
from understudy.leaderboard.tables import Estimate
from understudy.suite.scoring import verdicts

Json = Mapping[str, Any]
NONE, SOME = "none", "some"
HEADINGS: Final = {  # of the cards, short forms of the questions
    "skill": "Does it play like the teacher now?",
    "improvement": "Does it keep improving?",
    "transfer": "Does it learn a new game from scratch?",
}
DOES: Final = {"improvement": "keeps improving", "transfer": "learns games that it never saw"}
DO: Final = {"improvement": "keep improving", "transfer": "learn a game that it never saw"}
UNVERIFIED: Final = (verdicts.YES_UNVERIFIED, verdicts.YES_NOT_RETRAINED)
SIGNS: Final = {  # answer -> (sign, class)
    verdicts.YES: ("✓", "yes"),
    verdicts.YES_UNVERIFIED: ("✓?", "unverified"),
    verdicts.YES_NOT_RETRAINED: ("✓?", "unverified"),
    verdicts.ABOVE: ("✓+", "yes"),
    verdicts.PARTIAL: ("◐", "partial"),
    verdicts.NO: ("✗", "no"),
    verdicts.UNDECIDED: ("?", "undecided"),
    None: ("–", "absent"),
}


@dataclass(frozen=True)
class Card:
    """The answer to one question at one benchmark and budget."""

    label: str  # "Q1 skill"
    heading: str
    task: str
    kind: str  # NONE or SOME: whether some ranked imitator has a yes
    answer: str
    best: str  # who is best, and who cannot be told apart from it


def cards(table: Json) -> list[Card]:
    """Return a card a question, in the table's order. Only ranked imitators count."""
    return [_card(table, task) for task in table["tasks"]]


def sentence(data_tables: Sequence[Json]) -> str:
    """Return in a sentence or two which ranked imitators keep learning, over all tables."""
    counts = [count for table in data_tables if (count := sum(row["ranked"] for row in table["rows"]))]
    ranked, shown = sum(counts), list(_shown_to_gain(data_tables))
    if not ranked:
        return "So far no imitator is ranked."
    of = f"Of {ranked} ranked imitators" if ranked > 1 else "Of one ranked imitator"
    if len(counts) > 1:
        of += f" in {len(counts)} tables"
    if not shown:
        return f"{of}, none is shown to keep learning."
    does: dict[str, dict[str, None]] = {}  # by imitator, what it is shown to do, each once
    for name, task, where in shown:
        does.setdefault(name, {})[f"{DOES.get(task['name'], 'keeps learning')} {where}"] = None
    said = "; ".join(f"{name} {' and '.join(found)}" for name, found in does.items())
    count = "one keeps" if len(does) == 1 else f"{len(does)} keep"
    return f"{of}, {count} learning: {said}.{_not_shown(data_tables, shown, ranked > len(does))}"


def _shown_to_gain(data_tables: Sequence[Json]) -> Iterator[tuple[str, Json, str]]:
    """Yield each yes of a ranked imitator to a question about a gain: its name, the question, and where."""
    for table in data_tables:
        for task in table["tasks"]:
            for row in _positive(table, task["name"]) if task["asks_about_gain"] else ():
                unverified = row["cells"][task["name"]]["answer"] in UNVERIFIED
                noted = ", not verified yet" * unverified
                yield row["name"], task, f"({_number(task)}, {table['benchmark']}{noted})"


def _not_shown(data_tables: Sequence[Json], shown: Sequence[tuple[str, Json, str]], others: bool) -> str:
    """Return the questions about a gain to which nobody has a yes, or else that others have none."""
    every = [task for table in data_tables for task in table["tasks"]]
    asked = {task["label"]: task for task in every if task["asks_about_gain"]}
    answered = {task["label"] for _, task, _ in shown}
    missing = [task for label, task in asked.items() if label not in answered]
    if missing:
        does_not = [(DO.get(task["name"], "keep learning"), _number(task)) for task in missing]
        return "".join(f" None is shown to {verb} ({number})." for verb, number in does_not)
    return " The others are not shown to." if others else ""


def _number(task: Json) -> str:
    """Return the number of a question, e.g. `Q3`."""
    return str(task["label"].partition(" ")[0])


def cell_number(cell: Json) -> str:
    """Return a cell's number without its interval, empty if there is none."""
    return "" if cell["value"] is None else tables.figure("", Estimate(cell["value"]["estimate"])).strip()


def interval(found: Json | None, signed: bool = False) -> str:
    """Return a number with its interval, empty if there is none."""
    if found is None:
        return ""
    return tables.figure("", Estimate(found["estimate"], found["low"], found["high"]), signed)


def sign(cell: Json) -> tuple[str, str]:
    """Return a cell's sign and its class."""
    return SIGNS[cell["answer"]]


def answer(cell: Json) -> str:
    """Return a cell's answer in words, in round brackets if it says little."""
    found = cell["answer"] or "no verdict"
    return f"({found})" if cell["bracketed"] else str(found)


def _card(table: Json, task: Json) -> Card:
    name = task["name"]
    found = _positive(table, name)
    if found:
        shown = []
        for row in found:
            unverified = row["cells"][name]["answer"] in UNVERIFIED
            shown.append(f"{row['name']}{' (not verified yet)' * unverified}")
        said = f"Yes: {', '.join(shown)}"
    elif any(row["ranked"] for row in table["rows"]):
        open_cells = [
            row
            for row in table["rows"]
            if row["ranked"] and row["cells"].get(name, {}).get("answer") in (None, verdicts.UNDECIDED)
        ]
        said = "Not shown for any imitator" if open_cells else "No imitator does"
    else:
        said = "No ranked imitator yet"
    return Card(
        task["label"],
        str(HEADINGS.get(name, task["question"])),
        name,
        SOME if found else NONE,
        said,
        _best(table, task) + _unverified(found, name),
    )


def _unverified(positive: Sequence[Json], task: str) -> str:
    """Return which conditions of a yes were not measured, for the rows whose yes is not verified."""
    cells = [row["cells"][task] for row in positive if row["cells"][task]["answer"] in UNVERIFIED]
    reasons = dict.fromkeys(cell["reason"] for cell in cells if cell["reason"])
    return f" Not verified yet: {'; '.join(reasons)}." if reasons else ""


def _positive(table: Json, task: str) -> list[Json]:
    good = (*verdicts.EVERY_YES, verdicts.ABOVE)
    return [
        row
        for row in table["rows"]
        if row["ranked"]
        and (cell := row["cells"].get(task))
        and cell["answer"] in good
        and not cell["bracketed"]
    ]


def _best(table: Json, task: Json) -> str:
    """Return who is best, with its number beside the teacher's, and who cannot be told apart from it."""
    name = task["name"]
    ranked = [row for row in table["rows"] if row["cells"].get(name, {}).get("rank")]
    top = sorted(
        (row for row in ranked if row["cells"][name]["rank"]["low"] == 1),
        key=lambda row: -row["cells"][name]["value"]["estimate"],
    )
    if not top:
        return ""
    number = cell_number(top[0]["cells"][name])
    teacher = table["teacher"][name]
    if task["asks_about_gain"]:
        share = f"{number} of the teacher's gain"
    elif teacher is not None:
        points = tables.figure("", Estimate(teacher["points"]["estimate"])).strip()
        share = f"{number} points an episode, the teacher {points}"
    else:
        share = f"{number} {task['heading']}"
    if len(ranked) == 1:
        return f"Only {top[0]['name']} was ranked: {share}."
    tied = [row["name"] for row in top[1:]]
    if not tied:
        return f"Highest: {top[0]['name']}, {share}."
    others = ", ".join(tied) if len(tied) <= 3 else f"{len(tied)} others"
    return f"Highest: {top[0]['name']}, {share}; {others} cannot be told apart from it."
