"""Checkpoints of strangers' code: a module of this folder, installed as a package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import safetensors.torch

from understudy import baselines
from understudy.submissions import architectures, parameters, submission_format
from understudy.submissions.checkpoint_source import CheckpointSource
from understudy.submissions.submission_format import Config
from understudy.suite import benchmarks, games
from understudy.suite.custom_code import CustomCode
from understudy.suite.harness.entry import PlayerRequest

PACKAGE, VERSION = "walkers_lab", "1.0"


def install(site: Path, module: str = "walkers", **constants: object) -> None:
    """Put a module of tests/support into a folder as an installed package, with its architectures.

    `constants` replace those of the module.
    """
    source = (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8")
    names = [line.split(" = ")[0] for line in source.splitlines() if " = understudy.ModuleArch" in line]
    (site / PACKAGE).mkdir(parents=True)
    (site / PACKAGE / "__init__.py").write_text("", encoding="utf-8")
    after = "".join(f"{name} = {value!r}\n" for name, value in constants.items())
    (site / PACKAGE / "players.py").write_text(source + after, encoding="utf-8")
    metadata = site / f"{PACKAGE}-{VERSION}.dist-info"
    metadata.mkdir()
    points = "".join(f"{name.lower()} = {PACKAGE}.players:{name}\n" for name in names)
    (metadata / "entry_points.txt").write_text(f"[understudy.architectures]\n{points}", encoding="utf-8")
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: {VERSION}\n", encoding="utf-8"
    )


def code(object_name: str) -> CustomCode:
    """Return the declaration of an installed object's code."""
    return CustomCode(object=f"{PACKAGE}.players:{object_name}", package=PACKAGE, version=VERSION)


def checkpoint(
    folder: Path, architecture: Any, custom_code: CustomCode | None = None, **settings: Any
) -> Any:
    """Write an untrained checkpoint for darkroom into `<folder>/all` and return its source."""
    game, benchmark = games.load("darkroom/goal-00"), benchmarks.load("darkroom-v1")
    values = architecture.config(game, **settings)
    (folder / "all").mkdir(parents=True)
    config = {"architecture": architecture.name, "family": "darkroom", "parameters": values}
    (folder / "all" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    path = folder / "all" / "model.safetensors"
    safetensors.torch.save_file(architecture.build(values, game, seed=3).state_dict(), path)
    identity = submission_format.identity_of(Config(**config), path.read_bytes(), path)
    return CheckpointSource(folder, "all", identity, architecture.name, custom_code, None, benchmark, ())


def stranger(folder: Path, object_name: str) -> CheckpointSource:
    """Return a checkpoint of an installed object's architecture."""
    declared = code(object_name)
    found = checkpoint(folder, architectures.imported(declared.object), declared)
    assert isinstance(found, CheckpointSource)
    return found


def built_in(folder: Path, name: str, **settings: Any) -> CheckpointSource:
    """Return a checkpoint of an architecture that comes with the package."""
    found = checkpoint(folder, baselines.load(name), **settings)
    assert isinstance(found, CheckpointSource)
    return found


def here(source: CheckpointSource) -> Any:
    """Return its player in this process."""
    return parameters.load_player(source, PlayerRequest((), False, 0))


def in_child(source: CheckpointSource, **how: Any) -> Any:
    """Return its player in a process of its own."""
    return parameters.load_in_child(source, PlayerRequest((), False, 0, **how))
