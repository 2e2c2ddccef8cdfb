"""Submission format 1: a folder with `submission.json`, and a `config.json` and weights for each checkpoint.

`docs/submission-format.md` describes it for other programs. A submission's identity is a hash of what plays:
its tensors and their configurations.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
from pydantic import BaseModel, Field

from understudy.submissions import regular_files, tensors
from understudy.suite import json_text, registry, validation
from understudy.suite.custom_code import CustomCode
from understudy.suite.errors import InputError
from understudy.suite.io import files, walks
from understudy.suite.io.file_names import CARD, CONFIG, TRAINING_LOG, TRAINING_PICTURE, WEIGHTS
from understudy.suite.reserved_names import DECLARATION
from understudy.suite.validation import Sha256

FORMAT = 1
MAX_DECLARATION_BYTES = 1 << 20
MAX_CONFIG_BYTES = 1 << 16
MAX_WEIGHTS_BYTES = 1 << 31
MAX_SEED = 2**63 - 1
LEFT_OUT = ("custom_code", "training_targets")  # keys that are written only where they have a value
CHOSEN, EXECUTED = "chosen", "executed"  # training targets

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]  # no separator, no leading dot
RunName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}/seed-[0-9]{1,9}$")]
Number = int | Annotated[float, Field(allow_inf_nan=False)]
Numbers = Annotated[dict[Annotated[str, Field(max_length=64)], Number], Field(max_length=256)]


class _Document(BaseModel):
    """Strict and frozen: no unknown key, no converted value, no change after reading."""

    model_config = validation.STRICT


class WatchedHistory(_Document):
    """The part of a teacher's run that was watched: its moves [0, moves)."""

    name: RunName  # variant/seed-k, as in `understudy benchmarks`
    moves: int = Field(ge=1, le=10**12)  # at most the benchmark's watched moves
    sha256: Sha256  # of those moves: moves_hash.sha256


class Watched(_Document):
    """All data that the weights were trained on."""

    mode: Literal["single", "multi", "multi-game"]
    histories: tuple[WatchedHistory, ...] = Field(min_length=1, max_length=100_000)


class Checkpoint(_Document):
    """One set of weights."""

    folder: Name
    teacher: RunName | None  # mode single: the run that it watched; otherwise null: it watched all
    training_seed: int = Field(ge=0, le=MAX_SEED)


class Declaration(_Document):
    """The content of `submission.json`."""

    format: Literal[1]
    name: Name
    benchmark: Name
    architecture: Name
    decoding: Literal["greedy", "sample"]
    track: Literal["frozen", "learning"]
    priming_moves: int = Field(ge=0, le=10**12)  # K: it is primed with the last K watched moves
    watched: Watched
    checkpoints: tuple[Checkpoint, ...] = Field(min_length=1, max_length=1_000)
    description: str = Field(default="", max_length=4_000)
    search_trials: int | None = Field(default=None, ge=1, le=10**9)  # size of the hyper-parameter search
    training: Numbers | None = None  # settings of the training
    custom_code: CustomCode | None = None  # null: the architecture comes with this package
    training_targets: Literal["chosen", "executed"] | None = None  # absent or null: chosen, if it was trained

    @property
    def targets(self) -> str | None:
        """The actions that it was trained to predict; None if no training is declared."""
        return self.training_targets or (None if self.training is None else CHOSEN)

    @property
    def training_settings(self) -> dict[str, int | float | str] | None:
        """The declared settings of the training with their targets; None if none are declared."""
        if self.training is None:
            return None
        return {**self.training, **({"targets": EXECUTED} if self.training_targets == EXECUTED else {})}


class Config(_Document):
    """The content of a checkpoint's `config.json`; settings are numbers, so that they cannot name code."""

    architecture: Name
    family: Name  # of games
    parameters: Numbers  # the architecture's settings, within the bounds that it states


@dataclass(frozen=True)
class Submission:
    """A submission that was read: well formed and consistent; its weights are not loaded yet."""

    folder: Path
    declaration: Declaration
    checkpoints: tuple[tuple[str, str], ...]  # (folder, identity of what is in it), as declared
    identity: str  # of all checkpoints together, in whatever order and folders

    def checkpoint_identity(self, folder: str) -> str:
        """Return the identity of a checkpoint at the time of reading."""
        return dict(self.checkpoints)[folder]

    @functools.cached_property
    def watched(self) -> tuple[tuple[str, int, str], ...]:
        """(name, moves, SHA-256) of each declared run, as plain values that are quick to send."""
        return tuple((each.name, each.moves, each.sha256) for each in self.declaration.watched.histories)


def read(folder: Path) -> Submission:
    """Return the submission in a folder.

    Raises InputError, in one line, for a missing, linked, oversized or malformed file, and for an
    inconsistent declaration.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a submission's folder, found none there")
    path = folder / DECLARATION
    declaration = parsed(Declaration, path, MAX_DECLARATION_BYTES, folder)
    _check_consistency(declaration, path)
    for checkpoint in declaration.checkpoints:
        regular_files.require_folder(folder / checkpoint.folder)
    found = tuple(
        (checkpoint.folder, _checkpoint_identity(folder, checkpoint.folder))
        for checkpoint in declaration.checkpoints
    )
    _refuse_copies(found, path)
    return Submission(folder, declaration, found, _identity("submission", sorted(each for _, each in found)))


def declaration_hash(submission: Submission) -> str:
    """Return the hash of what a submission declares, beside its identity, that decides what is played.

    These are the watched histories, each checkpoint's teacher and training seed, custom code, and the
    settings of the training, by which interventions train anew; folders are not.
    """
    declared = submission.declaration
    histories = sorted((each.name, each.moves, each.sha256) for each in declared.watched.histories)
    checkpoints = sorted(
        (submission.checkpoint_identity(each.folder), each.teacher or "", each.training_seed)
        for each in declared.checkpoints
    )
    code = [declared.custom_code.model_dump()] if declared.custom_code else []
    settings = declared.training_settings
    return _identity("declaration", [declared.watched.mode, histories, checkpoints, settings, *code])


def identity_of(config: Config, weights: bytes, where: Path) -> str:
    """Return the identity of a checkpoint: SHA-256 of its configuration and of its tensors.

    The tensors count by name, dtype, shape and bytes; the file's metadata and their order in it do not.
    Raises InputError, which names the file `where`, for bytes that are not a whole safetensors file.
    """
    parameters = dict(config.parameters)
    values = [config.architecture, config.family, parameters, tensors.identities(weights, where)]
    return _identity("checkpoint", values)


def write(
    folder: Path, declaration: Declaration, checkpoints: Mapping[str, tuple[Config, bytes]]
) -> Submission:
    """Write a submission and return it as read back.

    `checkpoints` maps each declared checkpoint folder to its config and the bytes of its weights file. The
    declaration is written last, so a folder that has one is complete.
    """
    if set(checkpoints) != {checkpoint.folder for checkpoint in declaration.checkpoints}:
        raise ValueError(f"checkpoints given and declared differ: {sorted(checkpoints)}")
    _check_consistency(declaration, folder / DECLARATION)
    for name, (config, weights) in checkpoints.items():
        files.write_json(folder / name / CONFIG, config.model_dump(mode="json"))
        files.write_atomically(folder / name / WEIGHTS, weights)
    files.write_json(folder / DECLARATION, _written(declaration))
    return read(folder)


def declare(values: Mapping[str, Any]) -> Declaration:
    """Return a declaration built from values; InputError names the first key that is wrong."""
    try:
        declaration = Declaration.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise InputError(
            _message(Declaration, Path(DECLARATION), error.errors(include_url=False)[0])
        ) from error
    _check_consistency(declaration, Path(DECLARATION))
    return declaration


def files_of(declaration: Declaration) -> dict[str, int]:
    """Return the paths of a submission's files in its folder, with the most bytes that each may have."""
    limits = {CONFIG: MAX_CONFIG_BYTES, WEIGHTS: MAX_WEIGHTS_BYTES}
    folders = [checkpoint.folder for checkpoint in declaration.checkpoints]
    of_checkpoints = {f"{folder}/{name}": limit for folder in folders for name, limit in limits.items()}
    return {DECLARATION: MAX_DECLARATION_BYTES, **of_checkpoints}


def surplus_files(submission: Submission) -> tuple[str, ...]:
    """Return the files in the folder that are neither part of the submission nor beside it by rule, sorted.

    The card and the log of the training with its picture are beside it.
    """
    known = {CARD, TRAINING_LOG, TRAINING_PICTURE, *files_of(submission.declaration)}
    inside = walks.unfollowed(submission.folder)
    found = {path.relative_to(submission.folder).as_posix() for path in inside}
    return tuple(sorted(found - known))


def _written(declaration: Declaration) -> dict[str, Any]:
    """Return a declaration as JSON values, without the keys of what most submissions don't have."""
    values = declaration.model_dump(mode="json")
    return {key: value for key, value in values.items() if value is not None or key not in LEFT_OUT}


Document = TypeVar("Document", bound=_Document)


def parsed(kind: type[Document], path: Path, limit_bytes: int, folder: Path) -> Document:
    """Return the JSON document in a file of a submission's folder, checked.

    Raises InputError, naming file, key, what was expected and found; for the file itself as
    `regular_files.read`.
    """
    data = regular_files.read(path, limit_bytes, folder)
    try:
        found = kind.model_validate_json(data)
        json_text.values(data)
        return found
    except pydantic.ValidationError as error:
        problems = error.errors(include_url=False)
        of_format = [problem for problem in problems if problem["loc"] == ("format",)]
        raise InputError(_message(kind, path, (of_format or problems)[0])) from error
    except ValueError as error:  # no value that pydantic refuses, e.g. a key that stands twice
        raise InputError(f"{path}: not readable JSON ({error}); make it again") from error


def _message(kind: type[_Document], path: Path, problem: Any) -> str:
    where = validation.place_of(problem)
    if problem["type"] == "json_invalid":
        return f"{path}: not readable JSON ({problem['ctx']['error']}); make it again"
    if problem["type"] == "missing":
        return f"{path}: expected the key {where!r}, found none; see docs/submission-format.md"
    if problem["type"] == "extra_forbidden" and len(problem["loc"]) == 1:
        try:
            registry.choose(str(problem["loc"][0]), kind.model_fields, "key")
        except InputError as unknown:
            return f"{path}: {unknown}"
    if problem["type"] == "extra_forbidden":
        return f"{path}: unknown key {where!r}; remove it"
    if where == "format":
        found = f"submission format {problem['input']!r:.80}"
        return f"{path}: {found}, this version reads {FORMAT}; update understudy"
    return f"{path}: {validation.problem_text(problem)}"


def _check_consistency(declaration: Declaration, path: Path) -> None:
    watched, checkpoints = declaration.watched, declaration.checkpoints
    names = [history.name for history in watched.histories]
    _refuse_repeated(names, f"{path}: watched.histories")
    _refuse_copied_histories(watched.histories, path)
    _refuse_repeated([checkpoint.folder for checkpoint in checkpoints], f"{path}: checkpoints.folder")
    for checkpoint in checkpoints:
        where = f"{path}: checkpoint {checkpoint.folder}: teacher"
        if watched.mode != "single" and checkpoint.teacher is not None:
            raise InputError(f"{where}: expected null in mode {watched.mode}; found {checkpoint.teacher!r}")
        if watched.mode == "single" and checkpoint.teacher not in names:
            raise InputError(f"{where}: expected one of watched.histories; found {checkpoint.teacher!r}")
    unused = sorted(set(names) - {checkpoint.teacher for checkpoint in checkpoints})
    if watched.mode == "single" and unused:
        raise InputError(f"{path}: watched.histories: no checkpoint has the teacher {unused[0]!r}; remove it")
    shortest = min(watched.histories, key=lambda history: history.moves)
    if declaration.priming_moves > shortest.moves:
        raise InputError(
            f"{path}: priming_moves: expected at most the {shortest.moves:,} watched moves of "
            f"{shortest.name}; found {declaration.priming_moves:,}"
        )


def _refuse_copied_histories(histories: tuple[WatchedHistory, ...], path: Path) -> None:
    """Raise InputError for two runs with the same moves, which are one run under two names."""
    first: dict[str, str] = {}
    for history in histories:
        other = first.setdefault(history.sha256, history.name)
        if other != history.name:
            raise InputError(
                f"{path}: watched.histories: {other} and {history.name} have the same moves and are one run; "
                "declare one"
            )


def _refuse_repeated(names: list[str], where: str) -> None:
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise InputError(f"{where}: expected each once; found {repeated[0]!r} twice")


def _checkpoint_identity(folder: Path, checkpoint: str) -> str:
    config = parsed(Config, folder / checkpoint / CONFIG, MAX_CONFIG_BYTES, folder)
    path = folder / checkpoint / WEIGHTS
    return identity_of(config, regular_files.read(path, MAX_WEIGHTS_BYTES, folder), path)


def _refuse_copies(checkpoints: tuple[tuple[str, str], ...], path: Path) -> None:
    """Raise InputError for two checkpoints of one content, which would count as two."""
    first: dict[str, str] = {}
    for folder, identity in checkpoints:
        other = first.setdefault(identity, folder)
        if other != folder:
            raise InputError(
                f"{path}: checkpoints: {other!r} and {folder!r} hold the same weights and configuration; "
                "remove one"
            )


def _identity(kind: str, values: Any) -> str:
    return files.text_sha256(files.canonical_json([kind, values]))
