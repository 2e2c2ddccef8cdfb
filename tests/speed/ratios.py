"""The table of `make speed`: ours against its peers, made from pytest-benchmark's JSON.

pytest-benchmark measures all rounds of one test before it goes on to the next. So that ours and its peers
meet the same machine, a test here is one round and is collected several times: a module's tests in turn 0,
then the same tests in turn 1, and so on (`pytest.mark.parametrize("turn", range(5), scope="module")`).
Rates are medians over turns; a ratio is the median of the ratios found within a turn.

usage: python tests/speed/ratios.py .benchmarks/speed.json
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RATIO_HEADER = ("measured", "unit", "ours", "median", "peer", "median", "ratio", "lowest", "highest")
FIGURE_HEADER = ("measured", "of", "figure", "value", "unit", "limit")
ABSENT = "-"


def describe(
    benchmark: Any,
    group: str,
    label: str,
    *,
    amount: float = 1,
    unit: str = "",
    is_peer: bool = False,
) -> None:
    """Put on a test's `benchmark`, before it is used, what the table needs.

    A round gets through `amount` of `unit`, e.g. 2,000 moves. A test without a unit is there for its figures
    alone. A group has ours, its peers or both; each pair is a row of ratios.
    """
    benchmark.group = group
    benchmark.extra_info.update(label=label, is_peer=is_peer, amount=amount, unit=unit, figures=[])


def add_figure(benchmark: Any, name: str, value: float, unit: str, limit: float | None = None) -> None:
    """Put a number that is no time, e.g. the peak memory, on a described test's `benchmark`.

    `limit` is what the test asserts that the value doesn't exceed.
    """
    figure = {"name": name, "value": value, "unit": unit, "limit": limit}
    benchmark.extra_info["figures"].append(figure)


def main(arguments: Sequence[str]) -> None:
    """Print the table of a JSON file of pytest-benchmark."""
    (path,) = arguments
    print(table(json.loads(Path(path).read_text(encoding="utf-8"))))


def table(report: dict[str, Any]) -> str:
    """Return pytest-benchmark's report as a Markdown table of ratios and one of the other figures.

    Raises ValueError where ours and a peer count in different units.
    """
    benchmarks = report["benchmarks"]
    parts = [(RATIO_HEADER, ratio_rows(benchmarks)), (FIGURE_HEADER, figure_rows(benchmarks))]
    return "\n\n".join(_markdown(header, rows) for header, rows in parts if rows)


def ratio_rows(benchmarks: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each of ours and each of its peers, in the order in which they were measured.

    A ratio is our rate over the peer's: how many times as fast ours is. Lowest and highest are of a turn.
    """
    rows = []
    for group, members in _measured(benchmarks).items():
        ours = [each for each in members if not each.is_peer]
        peers = [each for each in members if each.is_peer]
        for one in ours:
            rows += [_compared(group, one, peer) for peer in peers] or [_alone(group, one)]
    return rows


def figure_rows(benchmarks: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return a row for each figure: of several turns' values, the median."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        for figure in info["figures"]:
            found.setdefault((benchmark["group"], info["label"], figure["name"]), []).append(figure)
    return [[*key, *_value(figures)] for key, figures in found.items()]


@dataclass(frozen=True)
class _Measured:
    """One of a group, over all turns."""

    label: str
    is_peer: bool
    unit: str  # of the rates, e.g. "moves/s"
    rates: dict[int, float]  # by turn


def _measured(benchmarks: Sequence[dict[str, Any]]) -> dict[str, list[_Measured]]:
    """Return what was timed, by group."""
    groups: dict[str, dict[str, _Measured]] = {}
    for benchmark in benchmarks:
        info = benchmark["extra_info"]
        if not info["unit"]:
            continue
        second = "CPU-s" if benchmark["options"]["timer"] == "process_time" else "s"
        new = _Measured(info["label"], info["is_peer"], f"{info['unit']}/{second}", {})
        one = groups.setdefault(benchmark["group"], {}).setdefault(info["label"], new)
        turn = (benchmark["params"] or {}).get("turn", 0)
        one.rates[turn] = info["amount"] / benchmark["stats"]["median"]
    return {group: list(members.values()) for group, members in groups.items()}


def _compared(group: str, ours: _Measured, peer: _Measured) -> list[str]:
    if ours.unit != peer.unit:
        raise ValueError(
            f"{group}: expected one unit; {ours.label} has {ours.unit}, {peer.label} has {peer.unit}"
        )
    turns = sorted(ours.rates.keys() & peer.rates.keys())
    ratios = [ours.rates[turn] / peer.rates[turn] for turn in turns]
    spread = (statistics.median(ratios), min(ratios), max(ratios))
    return [group, ours.unit, *_median(ours), *_median(peer), *map(_number, spread)]


def _alone(group: str, ours: _Measured) -> list[str]:
    return [group, ours.unit, *_median(ours), *[ABSENT] * 5]


def _median(one: _Measured) -> tuple[str, str]:
    return one.label, _number(statistics.median(one.rates.values()))


def _value(figures: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
    unit, limit = figures[0]["unit"], figures[0]["limit"]
    value = statistics.median(figure["value"] for figure in figures)
    return _number(value), unit, ABSENT if limit is None else _number(limit)


def _number(value: float) -> str:
    """Return three significant digits, and all those before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(cells, widths) for cells in _with_rule(lines, rule))


def _with_rule(lines: Sequence[Sequence[str]], rule: Sequence[str]) -> Iterator[Sequence[str]]:
    yield lines[0]
    yield rule
    yield from lines[1:]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return f"| {' | '.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))} |"


if __name__ == "__main__":
    main(sys.argv[1:])
