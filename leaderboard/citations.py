"""Citations as BibTeX: of the suite, of a release, and of one row with its answers.

Names and notes come from submissions, so that every value is escaped for TeX. `@misc` is what every BibTeX
style knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import understudy
from understudy.leaderboard import cells, controls_check, eligibility, releases, tables
from understudy.leaderboard.figures import badges
from understudy.leaderboard.releases import Manifest
from understudy.leaderboard.scores import ScoredRow
from understudy.suite import escaping, registry, tasks
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import rounds

if TYPE_CHECKING:
    import pandas as pd

TITLE: Final = "Understudy: can an imitator of a learner keep learning?"  # as CITATION.cff has it
AUTHORS: Final = "The Understudy authors"
SHORT: Final = 16  # hex digits of a hash that are enough to find it
# Of the primary result, by column of the table; its questions are Q2 and Q3.
PRIMARY: Final = {
    "benchmark": "atari-v1",
    "budget": "full",
    "watched": "single",
    "track": "frozen",
    "decoding": "greedy",
    "claim": "method",
}

# Braces count for BibTeX even behind a backslash, so that they are named.
TEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    **{char: f"\\{char}" for char in "%$&#_"},
}


@dataclass(frozen=True)
class Citation:
    """One BibTeX entry; its text is `str(citation)`."""

    key: str
    fields: tuple[tuple[str, str], ...]  # (name, plain text), not escaped yet

    def __str__(self) -> str:
        """Return the entry as BibTeX, ending in a line feed."""
        lines = [f"  {name} = {_value(name, text)}" for name, text in self.fields]
        return "\n".join([f"@misc{{{self.key},", ",\n".join(lines), "}"]) + "\n"


def of_suite() -> Citation:
    """Return the citation of the suite in this version; without a year while no release has one."""
    return Citation(
        "understudy",
        (("author", AUTHORS), ("title", TITLE), ("version", understudy.__version__), ("note", _version())),
    )


def of_release(release: Manifest) -> Citation:
    """Return the citation of a frozen release."""
    note = (
        f"{len(release.rows)} rows, teacher data and protocol, frozen on {release.date}; Understudy "
        f"{release.understudy}; manifest {release.sha256[:SHORT]}"
    )
    return Citation(
        f"understudy-release-{release.release}",
        (
            ("author", AUTHORS),
            ("title", f"Understudy, release {release.release}"),
            ("year", release.date[:4]),
            ("version", str(release.release)),
            ("note", note),
        ),
    )


def of_row(one: ScoredRow, release: Manifest | None = None) -> Citation:
    """Return the citation of a scored row with its answers, each with its interval, claim, n and m.

    It names no author, because a row doesn't: add those of the submission.

    Args:
        one: the row.
        release: in which it is frozen; None: as it is today.

    Raises InputError if the release has no such row, CheckFailed if the row is no longer the frozen one.
    """
    if release is not None:
        _require_frozen(one, release)
    row, place = one.row, (one.folder.benchmark, one.folder.budget, one.row["name"])
    drawn = next((each.drawn for each in rounds.read() if each.name == row["round"]), None)
    date = release.date if release is not None else drawn
    source = f"Scored with Understudy {understudy.__version__}"
    if release is not None:
        source = f"Row of Understudy's release {release.release} (Understudy {release.understudy})"
    return Citation(
        re.sub(r"[^A-Za-z0-9.-]+", "-", "-".join(("understudy", *place))),
        (
            ("key", "understudy"),
            ("title", f"{row['name']} on {one.folder.benchmark}, budget {one.folder.budget}"),
            ("howpublished", source),
            *((("year", date[:4]),) if date is not None else ()),
            ("note", "; ".join(_facts(one))),
        ),
    )


def report(one: ScoredRow, task: str) -> str:
    """Return a row's answer to one question in one sentence, with all that a reader needs to judge it.

    `docs/reporting.md` says why each part is in it. InputError for a task that the row does not have.
    """
    line = _line(one, task)
    controls = controls_check.NOT_RUN if tables.missing(line["controls"]) else str(line["controls"])
    answer = "no verdict" if tables.missing(line["answer"]) else str(line["answer"])
    if tables.missing(line["answer"]):
        answer = f"{answer} ({line['reason']})"
    elif line["bracketed"]:
        answer = f"({answer})"
    setting = (
        f"Understudy {understudy.__version__}",
        str(line["benchmark"]),
        f"budget {line['budget']}",
        f"round {line['round']}",
        f"track {line['track']}",
        *(() if tables.missing(line["watched"]) else (f"watched {line['watched']}",)),
        f"{line['decoding']} decoding",
    )
    answered = ", ".join((answer, *_basis(line)))
    parts = (
        ", ".join((f"{line['question']} {answered}", *_numbers(line))),
        controls,
        *(() if tables.missing(line["search_trials"]) else (_searched(int(line["search_trials"])),)),
        *(("rechecked",) if one.rechecked else ()),
        *(() if eligibility.ranked(one) else (_unranked(one),)),
        "primary result" if _is_primary(line) else "exploratory",
    )
    name = f"{line['name']} ({line['identity'][:SHORT]})"
    return f"{', '.join(setting)}: {name}: {'; '.join(parts)}. Intervals: 95 %."


def badge_of_row(one: ScoredRow, task: str) -> str:
    """Return a row's answer to one question as an SVG badge; InputError for a task that it does not have."""
    line = _line(one, task)
    number = line["question"].partition(" ")[0]
    subject = f"understudy {number} {one.folder.benchmark} {one.folder.budget}"
    unranked = "" if eligibility.ranked(one) else ", not ranked"
    answer = None if tables.missing(line["answer"]) else str(line["answer"])
    return badges.badge(subject, f"{tables.cell_text(line)}{unranked}", answer)


def _line(one: ScoredRow, task: str) -> pd.Series[Any]:
    """Return the line of a row's frame of one task; InputError if it does not have the task."""
    frame = cells.frame([one])
    chosen = registry.choose(task, list(frame["task"]), f"task of {one.row['name']}:")
    return frame[frame["task"] == chosen].iloc[0]


def _searched(trials: int) -> str:
    return f"the best of {trials:,} settings" if trials > 1 else "no search of settings"


def _unranked(one: ScoredRow) -> str:
    because = eligibility.unranked_because(one)
    return f"not ranked: {', '.join(because)}" if because else "a control"


def _facts(one: ScoredRow) -> Iterator[str]:
    """Yield what a reader needs to find a row and to judge it."""
    yield f"identity {one.row['identity'][:SHORT]}"
    yield f"round {one.row['round']}"
    yield f"benchmark identity {one.row['benchmark_identity'][:SHORT]}"
    for _, line in cells.frame([one]).iterrows():
        basis = ", ".join(_basis(line))
        yield f"{line['question']} ({line['shown_as']}): {tables.cell_text(line)}{basis and f' ({basis})'}"
    because = eligibility.unranked_because(one)
    if because:
        yield f"not ranked: {', '.join(because)}"


def _basis(line: pd.Series[Any]) -> Iterator[str]:
    """Yield what an answer rests on: its claim, its units, and what it lacks."""
    if not tables.missing(line["answer"]):
        yield f"{line['claim']} claim"
    yield from (f"{name} = {line[name]}" for name in ("n", "m") if not tables.missing(line[name]))
    if not tables.missing(line["answer"]) and not tables.missing(line["reason"]):
        yield f"({line['reason']})"
    yield from filter(None, str(line["marks"]).split("; "))


def _numbers(line: pd.Series[Any]) -> Iterator[str]:
    """Yield an answer's numbers, each with its interval."""
    signed = bool(tasks.load(line["task"]).column.signed)
    what = "gain" if signed else "skill"
    for name, words in {"points": what, "teacher_points": f"teacher's {what}"}.items():
        if not tables.missing(line[name]):
            yield f"{words} {tables.figure('', tables.estimate(line, name), signed)} points an episode"
    for name, words in {
        "normalised_gain": "normalised gain",
        "normalised_agreement": "normalised agreement",
    }.items():
        if not tables.missing(line[name]):
            yield f"{words} {tables.figure('', tables.estimate(line, name))}"


def _is_primary(line: pd.Series[Any]) -> bool:
    """Return whether a cell is of the primary result, which `docs/protocol.md` declares."""
    return line["task"] != "skill" and all(line[name] == value for name, value in PRIMARY.items())


def _require_frozen(one: ScoredRow, release: Manifest) -> None:
    now = releases.frozen(one)
    known = {row.key: row for row in release.rows}
    if now.key not in known:
        raise InputError(f"{' '.join(now.key)}: not a row of release {release.release}; leave --release out")
    if known[now.key] != now:
        raise CheckFailed(
            f"{' '.join(now.key)}: no longer the row that release {release.release} froze; see: understudy "
            f"release {release.release} --check"
        )


def _version() -> str:
    return f"Version {understudy.__version__}"


def _value(name: str, text: str) -> str:
    """Return a field's value, escaped; in two braces where a style would change its letters or split it."""
    escaped = "".join(TEX.get(char, char) for char in escaping.terminal(" ".join(text.split())))
    return f"{{{{{escaped}}}}}" if name in ("author", "title") else f"{{{escaped}}}"
