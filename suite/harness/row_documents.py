"""The JSON documents of a row: the keys of each, strictly. `docs/row-format.md` describes them.

A document holds every key of its model and no other, each of the declared type, finite, and the format's
number. A change of keys is a new number, except before the first release.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, field_validator
from pydantic_core import PydanticCustomError

from understudy.suite import reserved_names, validation
from understudy.suite.custom_code import CustomCode
from understudy.suite.errors import InputError
from understudy.suite.io import bounded, files
from understudy.suite.io.readable import Readable
from understudy.suite.validation import Sha256

Text = Annotated[str, Field(max_length=4_000)]
Folder = Annotated[str, Field(pattern=rf"^{reserved_names.NAME.pattern}$")]  # of a checkpoint, in a row
Number = Annotated[float, Field(allow_inf_nan=False)]
HubModel = Annotated[str, Field(max_length=300, pattern=r"^hf://[\w.-]+/[\w.-]+@[0-9a-f]{40}$")]
Count = Annotated[int, Field(ge=0, le=10**15)]
Moves = Annotated[int, Field(ge=1, le=10**15)]  # of a run that is scored
Setting = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]  # also one that is a count
Threads = Annotated[int, Field(ge=1, le=1_024)]  # as `understudy score --threads` takes; torch is set to it
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e10)]  # three centuries


def _moment(text: str) -> str:
    """Return a text that is a time in ISO 8601 of this century or the next; otherwise raise."""
    try:
        year = datetime.fromisoformat(text).year
    except ValueError:
        year = 0
    if not 2000 <= year < 2200:
        raise PydanticCustomError("moment", "a time in ISO 8601, e.g. 2026-01-31T12:00:00+00:00")
    return text


class Part(BaseModel):
    """Strict and frozen: no unknown key, no converted value."""

    model_config = validation.STRICT


class Document(Part):
    """A whole file."""

    number: ClassVar[int] = 1  # of the format that this version reads and writes
    advice: ClassVar[str]  # what to do about a document that is refused
    format: int

    @field_validator("format")
    @classmethod
    def _known(cls, found: int) -> int:
        if found != cls.number:
            raise PydanticCustomError("format", f"this version reads {cls.number}")
        return found


class Facts(Part):
    """What a submission is, as far as it decides nothing that is played."""

    parameters: Count  # values in the tensors of a set of weights, the largest of them
    watched_runs: Count  # teachers' runs, or parts of them, that the weights were trained on
    watched_moves: Count  # of these runs together
    training: dict[Text, Setting] | None  # declared settings of the training; null: none are declared


class Row(Document):
    """`row.json`: which submission or control a row is of, and how it is played."""

    advice = "score it again: understudy score"
    name: Text
    identity: Sha256  # of the submission or control
    benchmark: Text
    benchmark_identity: Sha256
    architecture: Text
    control: bool
    decoding: Literal["greedy", "sample"]
    track: Literal["frozen", "learning"]
    watched: Text | None
    priming_moves: Count
    search_trials: Count | None
    training_targets: Text | None
    round: Text
    declaration: Sha256 | None  # `submission_format.declaration_hash`; null for a control
    other_teacher_data: bool  # whether it was primed and compared with runs that are not the package's
    checkpoints: dict[Folder, Sha256]  # folder -> identity
    # Keys that are left out where they don't apply:
    custom_code: CustomCode | None = None  # of an architecture that does not come with this package
    in_memory: Text | None = None  # class of a model that was given as an object and is not stored
    facts: Facts | None = None  # of a submission; rows that were scored before it was known have none
    weights: HubModel | None = None  # pinned name on the Hub of the submission that played


class Lane(Part):
    """One run of a job."""

    game: Text
    unit: Text
    teacher: Text
    number: Count
    seed: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    primed: bool


class Player(Part):
    """Who plays a job."""

    identity: Sha256
    checkpoint_identity: Sha256
    track: Literal["frozen", "learning"]
    networks_at_w: dict[Text, Sha256]  # of the teachers that the lanes are assigned


class Intervention(Part):
    """What differs from the scored runs."""

    name: Text
    reward: Text
    priming: Text
    decoding: Text
    parameters: Text
    draw: Count
    actions: Literal["permuted"] | None = None  # left out where they are the player's own


class Labels(Part):
    """What is played by whom, in names, which change no run."""

    benchmark: Text
    budget: Text
    name: Text
    architecture: Text
    checkpoint: Text  # its folder
    training_seed: int | None
    training_targets: Text | None


class JobSettings(Part):
    """What a job's runs have in common and what determines them."""

    benchmark: Sha256  # identity
    kind: Text
    player: Player
    round: Text
    salt: Text
    decoding: Literal["greedy", "sample"]
    priming_moves: Count
    moves: Moves  # of each run
    exploration: Number
    segment_moves: Count
    threads: Threads
    device: Literal["cpu", "cuda", "mps"]  # its type
    precision: Literal["float32", "bfloat16"]
    versions: dict[Text, Text]  # of packages
    intervention: Intervention | None


class Job(Document, JobSettings):
    """`job.json`, in a job's folder."""

    advice = "fetch or play it again"
    labels: Labels
    lanes: Annotated[tuple[Lane, ...], Field(min_length=1)]


class RunLane(Lane):
    """The lane of a record."""

    index: Count  # among the job's


class RunJob(JobSettings):
    """The job of a record, with the number of its lanes."""

    lanes: Count


class Parameters(Part):
    """Hashes of a player's parameters and buffers."""

    before: Sha256
    after: Sha256


class StateBytes(Part):
    """Sizes of a run's state."""

    start: Count
    largest: Count  # over all moves


class Software(Part):
    """What played a run."""

    understudy: Text  # version
    commit: Text | None  # None: not played in a git checkout


class Record(Document):
    """`record.json`, in a run's folder, beside its log."""

    advice = "play its job again"
    lane: RunLane
    job: RunJob
    labels: Labels
    software: Software
    history_sha256: Sha256
    moves: Count
    points: Number
    episodes: Count
    explored: Count
    parameters_sha256: Parameters
    state_bytes: StateBytes
    record_sha256: Sha256


class Checked(Part):
    """What the result of a check is of."""

    histories_sha256: tuple[Sha256, ...]  # content hash of each lane's log
    parameters_sha256: Text  # of the weights that played
    checkpoint_identity: Sha256
    player_process: Text | None = None  # by what it was confined, or `in-process`; left out in older files


class Isolation(Document, Checked):
    """`isolation.json`, in a job's folder: whether information leaks between its lanes."""

    advice = "check again: understudy score --isolation"
    holds: bool
    first_moves: Count  # of lane 0, checked from the start; 0 where windows were drawn
    last_moves: Count  # of lane 0, checked up to the end; 0 where windows were drawn
    differs_at: Count | None  # first move found at which the player, in another batch, answers otherwise
    # Keys that rows of before windows were drawn have not:
    salt: Text | None = None  # that the windows were drawn by
    windows: tuple[tuple[Count, Count], ...] | None = None  # [begin, end), of all lanes


class Rechecked(Document, Checked):
    """`rechecked.json`, in a job's folder: whether its player, given the logs, chooses the same moves."""

    advice = "check again: understudy score --recheck"
    holds: bool
    moves: Count
    differing: Count
    largest_gap: Number
    predicted_otherwise: Number
    reloaded_at: tuple[Count, ...] = ()  # moves before which the player was loaded afresh


class Leaks(Document):
    """`leaks.json`, in a row's folder: the leak test; nats, held back minus published."""

    advice = "test again: understudy leaks"
    submission_identity: Sha256
    difference_nats: Number
    low: Number | None
    high: Number | None
    published_nats: Number
    held_back_nats: Number
    published: tuple[Text, ...]  # names of runs
    held_back: dict[Text, Sha256]  # names of runs, with the content hashes of their continued logs


class JobSeconds(Part):
    """When, where and how long a job was played, in the last session if it was interrupted."""

    began: Annotated[Text, AfterValidator(_moment)]  # UTC
    host: Text
    moves: Count  # of each run, in that session
    seconds: Seconds
    player_process: Text | None = None  # by what it was confined, or `in-process`; left out in older files


class JobTiming(Document, JobSeconds):
    """`timing.json` in a job's folder while its row is played."""

    advice = "remove it"


class Timing(Document):
    """`timing.json` in a row's folder; it may be missing, and no hash covers it."""

    advice = "remove it"
    jobs: dict[Text, JobSeconds]  # by the job's folder, e.g. `start/all`


CHECKS: Final[Mapping[str, type[Isolation | Rechecked]]] = {  # by the file's name, in a job's folder
    "isolation.json": Isolation,
    "rechecked.json": Rechecked,
}


def read(kind: type[Document], path: Readable) -> dict[str, Any]:
    """Return the content of a document; InputError, in one line, if it is missing or refused by its model."""
    try:
        data = bounded.read(path)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return validation.plain_document(kind, data, path, kind.advice)


def read_values(kind: type[Document], path: Readable) -> dict[str, Any]:
    """Return the content of a document without its format's number; raises as `read`."""
    return {name: value for name, value in read(kind, path).items() if name != "format"}


def with_format(kind: type[Document], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a document with its format's number."""
    return {"format": kind.number, **values}


def write(kind: type[Document], path: Path, values: Mapping[str, Any]) -> None:
    """Write a document, atomically."""
    files.write_json(path, with_format(kind, values))
