"""The columns of the table of results: name, type, unit and meaning; `docs/results-table.md` is their page.

The version is that of the columns. Its first number is raised when a column goes, or changes its type or its
meaning; the second when columns are added, which readers should expect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

VERSION: Final = "1.0"
NAME: Final = "understudy results table"  # in each file's metadata

TEXT, WHOLE, NUMBER, TRUTH = "text", "whole number", "number", "true or false"


@dataclass(frozen=True)
class Column:
    """One column."""

    name: str
    type: str  # TEXT, WHOLE, NUMBER or TRUTH
    meaning: str
    unit: str | None = None  # of numbers
    always: bool = False  # whether it is known of every cell; else an unknown value is null


# Numbers with an interval: each has columns <name>, <name>_low and <name>_high, (unit, meaning).
ESTIMATES: Final[dict[str, tuple[str | None, str]]] = {
    "shown": (None, "the number beside the answer in a table; `shown_as` says which it is"),
    "points": (
        "points an episode",
        "at the start, before any learning, in Q1; gained over the run in Q2 and Q3",
    ),
    "teacher_points": ("points an episode", "the same number of the teacher"),
    "normalised_gain": ("teacher's gains", "the gain divided by the teacher's over the same moves"),
    "end_above_teacher_start": ("points an episode", "the end of the run above the teacher's start"),
    "agreement": ("share of moves", "moves of the teacher that the imitator predicts"),
    "constant_agreement": ("share of moves", "the same for the best constant action"),
    "frozen_teacher_agreement": ("share of moves", "the same for the teacher's network frozen at W"),
    "normalised_agreement": (
        "share",
        "agreement between the best constant action, 0, and the frozen teacher, 1",
    ),
}


def _estimates() -> Iterator[Column]:
    for name, (unit, meaning) in ESTIMATES.items():
        yield Column(name, NUMBER, meaning, unit)
        yield Column(f"{name}_low", NUMBER, f"lower bound of the interval of `{name}`", unit)
        yield Column(f"{name}_high", NUMBER, f"upper bound of the interval of `{name}`", unit)


COLUMNS: Final = (
    Column("benchmark", TEXT, "name of the benchmark", always=True),
    Column("budget", TEXT, "full, tenth or quick", always=True),
    Column("controls", TEXT, "how many controls of this benchmark and budget came out as expected"),
    Column("name", TEXT, "the row's name", always=True),
    Column("kind", TEXT, "imitator or control", always=True),
    Column("architecture", TEXT, "registered name of the architecture; a control's own name", always=True),
    Column("track", TEXT, "frozen; learning if its parameters changed or its rule is built in", always=True),
    Column("decoding", TEXT, "greedy or sample", always=True),
    Column("watched", TEXT, "what it watched: single, multi or multi-game; null: a control"),
    Column("primed_moves", WHOLE, "K, the watched moves that prime it", "moves", always=True),
    Column("search_trials", WHOLE, "size of its declared search of settings", "settings"),
    Column(
        "rechecked",
        TRUTH,
        "whether its weights, given the logs, choose the same moves, as its notes report; null: unknown",
    ),
    Column("state_bytes", WHOLE, "largest state of a run; null: nothing was played", "bytes"),
    Column("ranked", TRUTH, "whether the row may stand in a ranking", always=True),
    Column("not_ranked_because", TEXT, "reasons, separated by `; `; null: ranked, or a control"),
    Column("identity", TEXT, "SHA-256 of weights and configuration; of a control's label", always=True),
    Column("benchmark_identity", TEXT, "SHA-256 of the benchmark's values", always=True),
    Column("round", TEXT, "round whose salt seeds its runs; `dev`: self-reported", always=True),
    Column("weights", WHOLE, "sets of weights (checkpoints) that play", "sets", always=True),
    Column("parameters", WHOLE, "values in the tensors of a set of weights, the largest of them", "values"),
    Column("watched_runs", WHOLE, "teachers' runs, or parts of them, that it was trained on", "runs"),
    Column("watched_moves", WHOLE, "of these runs together", "moves"),
    Column("training_targets", TEXT, "actions that it was trained to predict: chosen or executed"),
    Column("training_updates", WHOLE, "declared updates of the training", "updates"),
    Column("training", TEXT, "declared settings of the training, as a JSON object"),
    Column("custom_code", TEXT, "package and object of an architecture that does not come with understudy"),
    Column("in_memory", TEXT, "class of a model that was given as an object and is stored nowhere"),
    Column("notes", TEXT, "remarks on the row, separated by `; `", always=True),
    Column("task", TEXT, "skill, improvement or transfer", always=True),
    Column("question", TEXT, "the task's heading, e.g. `Q1 skill`", always=True),
    Column("claim", TEXT, "what the answer is of: checkpoint (these weights) or method", always=True),
    Column("answer", TEXT, "yes, yes (unverified), above, partial, no, undecided; null: no verdict"),
    Column("bracketed", TRUTH, "whether it says little, because Q1's skill is not a yes", always=True),
    Column("reason", TEXT, "why there is no verdict, why it is undecided, or what a yes lacks"),
    Column("marks", TEXT, "marks of the verdict, separated by `; `", always=True),
    Column("needed_runs", WHOLE, "runs of each sample that would decide an undecided answer", "runs"),
    Column("n", WHOLE, "the imitator's units in the comparison", "units"),
    Column("m", WHOLE, "the reference's units in the comparison", "units"),
    Column("shown_as", TEXT, "what `shown` is: points an episode or normalised gain", always=True),
    *_estimates(),
    Column("h50_demonstrated", WHOLE, "run length up to which half of the teacher's gain is shown", "moves"),
    Column("h50_refuted", WHOLE, "run length from which half of the teacher's gain is refuted", "moves"),
)  # fmt: skip

NAMES: Final = tuple(column.name for column in COLUMNS)


def typed(lines: Sequence[dict[str, Any]] | pd.DataFrame) -> pd.DataFrame:
    """Return a frame with all columns and no other, each of its type; what is unknown is null.

    Text is `object` with None, a whole number `Int64`, a number `float64` with NaN, true or false `boolean`,
    or `bool` where it is always known.

    Raises ValueError, TypeError or OverflowError for a value of another type.
    """
    import pandas as pd

    given = pd.DataFrame(
        lines, columns=list(NAMES), dtype=object
    )  # a float would not hold every whole number
    return pd.DataFrame({column.name: _typed(given[column.name], column) for column in COLUMNS})


def _typed(values: pd.Series[Any], column: Column) -> pd.Series[Any]:
    if column.type == TEXT:
        return values.where(values.notna(), None)
    if column.type == NUMBER:
        return values.astype("float64")
    if column.type == WHOLE:
        return values.astype("Int64")
    if column.always:
        return values.astype("bool")
    return values.astype("boolean")
