"""Made-up documents of the site: tables with as many rows and whatever names a test needs."""

from __future__ import annotations

from typing import Any

SKILL = {"name": "skill", "label": "Q1 skill", "question": "Skilled?", "heading": "points an episode"}
IMPROVEMENT = {"name": "improvement", "label": "Q2 improvement", "question": "Improving?"}
TRANSFER = {"name": "transfer", "label": "Q3 transfer", "question": "Learning anew?"}
TASKS = [
    {**SKILL, "asks_about_gain": False},
    *({**task, "heading": "normalised gain", "asks_about_gain": True} for task in (IMPROVEMENT, TRANSFER)),
]
BLOCKS = 20


def interval(estimate: float, half: float = 0.25) -> dict[str, float]:
    """Return an estimate and its interval."""
    return {"estimate": estimate, "low": estimate - half, "high": estimate + half}


def curve(end: float, start: float = 0.0) -> dict[str, Any]:
    """Return a straight curve from start to end."""
    heights = [start + (end - start) * block / (BLOCKS - 1) for block in range(BLOCKS)]
    return {
        "units": 8,
        "start": interval(start),
        "end": interval(end),
        "blocks": [interval(height) for height in heights],
        "few_ends": [False] * BLOCKS,
    }


def cell(answer: str | None, value: float | None = None, **values: Any) -> dict[str, Any]:
    """Return a cell; `values` replace its other keys."""
    return {
        "answer": answer,
        "bracketed": False,
        "reason": None,
        "marks": [],
        "claim": "method",
        "value": None if value is None else interval(value),
        "points": None if value is None else interval(value),
        "n": 8,
        "m": 8,
        "needed_runs": None,
        "rank": None,
        "not_ranked_because": None,
        "expected": None,
        "numbers": {},
        "parts": {},
        **values,
    }


def row(name: str, cells: dict[str, Any], **values: Any) -> dict[str, Any]:
    """Return a row of `table`; `values` replace its other keys."""
    edges = [1_000 * block // BLOCKS for block in range(BLOCKS + 1)]
    gains = {task: found for task, found in cells.items() if task != "skill" and found["value"]}
    return {
        "name": name,
        "place": f"darkroom-v1/quick/{name}",
        "control": False,
        "what": None,
        "ranked": True,
        "not_ranked_because": [],
        "notes": [],
        "architecture": "gru",
        "track": "frozen",
        "decoding": "greedy",
        "training_targets": "chosen",
        "watched": "multi",
        "priming_moves": 100,
        "search_trials": None,
        "round": "1",
        "identity": "0" * 64,
        "checkpoints": {"all": "0" * 64},
        "state_bytes": 800,
        "checks": {"rechecked": True, "leak_suspected": None},
        "parameters": 20_000,
        "watched_runs": 4,
        "watched_moves": 5_200,
        "training": {"updates": 400},
        "runs": 48,
        "moves": 48_000,
        "seconds": 60.0,
        "hardware": None,
        "cells": cells,
        "curves": {
            task: {
                "edges": edges,
                "end_moves": 250,
                "yes_share": 0.5,
                "yes_threshold": 5.0,
                "imitator": curve(10 * found["value"]["estimate"]),
                "teacher": curve(10.0),
            }
            for task, found in gains.items()
        },
        "horizons": {},
        "interventions": {},
        **values,
    }


def table(rows: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """Return a table of rows; `values` replace its other keys."""
    edges = [1_000 * block // BLOCKS for block in range(BLOCKS + 1)]
    gained = {
        "points": interval(10.0),
        "runs": 8,
        "curve": curve(10.0),
        "edges": edges,
        "yes_threshold": 5.0,
        "yes_share": 0.5,
        "end_moves": 250,
    }
    started = {**dict.fromkeys(gained), "points": interval(8.0), "runs": 8}
    return {
        "id": "darkroom-v1-quick",
        "benchmark": "darkroom-v1",
        "budget": "quick",
        "draft": False,
        "watched_games": ["darkroom/goal-00", "darkroom/goal-01"],
        "new_games": ["darkroom/goal-02"],
        "watched_moves": 1_000,
        "moves": 1_000,
        "controls": "controls: 20 of 20 as expected",
        "tasks": TASKS,
        "teacher": {"skill": started, "improvement": gained, "transfer": gained},
        "comparison": None,
        "watched_curve": {key: curve(8.0)[key] for key in ("units", "blocks", "few_ends")} | {"edges": edges},
        "rows": rows,
        **values,
    }


def document(tables: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    """Return a document of tables."""
    return {
        "format": 1,
        "understudy": "0.1.0",
        "question": "Can it keep learning?",
        "tables": tables,
        "left_out": [],
        **values,
    }


def three() -> dict[str, Any]:
    """Return a document with three imitators: `high`, a yes in Q3, `middle` and `low`.

    `low` is not ranked; `random` is a control.
    """

    def rank(low: int, high: int, group: str) -> dict[str, Any]:
        return {"low": low, "high": high, "group": group}

    high = row(
        "high",
        {
            "skill": cell("yes", 8.0, rank=rank(1, 2, "a")),
            "improvement": cell("no", 0.0, rank=rank(1, 2, "a")),
            "transfer": cell("yes", 0.8, rank=rank(1, 1, "a")),
        },
    )
    middle = row(
        "middle",
        {
            "skill": cell("undecided", 7.5, rank=rank(1, 2, "a"), needed_runs=40),
            "improvement": cell("no", -0.1, rank=rank(1, 2, "a"), bracketed=True),
            "transfer": cell("no", 0.02, rank=rank(2, 2, "b")),
        },
        architecture="transformer",
        decoding="sample",
        parameters=200_000,
        state_bytes=80_000,
        watched_moves=520_000,
    )
    low = row(
        "low",
        {
            "skill": cell("no", 1.0),
            "improvement": cell(None, reason="not played"),
            "transfer": cell("no", 0.0),
        },
        ranked=False,
        not_ranked_because=["self-reported"],
        watched="single",
        parameters=None,
    )
    control = row(
        "random",
        {"skill": cell("no", 0.5), "improvement": cell("no", 0.0), "transfer": cell("no", 0.0)},
        control=True,
        ranked=False,
        what="The random player.",
        architecture="random",
    )
    return document([table([high, middle, low, control])])
