"""A sound submission for darkroom-v1 and the runs that it watched, written by plain JSON and safetensors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from torch import nn

from understudy.suite import benchmarks, games
from understudy.suite.benchmarks import pinning
from understudy.suite.histories import history_format
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import Header
from understudy.suite.histories.recording import Recorder, Run

BENCHMARK = "darkroom-v1"
WATCHED = ("goal-00/seed-0", "goal-01/seed-0")
NEW = "goal-02/seed-0"
SIZES = {
    "bc": {"width": 2},
    "transformer": {"layers": 1, "context_moves": 8, "width": 8, "heads": 1},
}


def write(folder: Path, architecture: Any, data: Path) -> Path:
    """Write a submission of a registered architecture that watched the runs in `data`; return its folder."""
    (folder / "all").mkdir(parents=True)
    model, config = built(architecture)
    (folder / "submission.json").write_text(json.dumps(declaration(data, architecture.name)))
    parameters = {"architecture": architecture.name, "family": "darkroom", "parameters": config}
    (folder / "all" / "config.json").write_text(json.dumps(parameters))
    safetensors.torch.save_file(model.state_dict(), folder / "all" / "model.safetensors")
    return folder


def built(architecture: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Return an untrained imitator of a registered architecture in `SIZES`, and its config."""
    game = games.load("darkroom/goal-00")
    config = architecture.config(game, **SIZES[architecture.name])
    return architecture.build(config, game, seed=3), config


def declaration(data: Path, architecture_name: str) -> dict[str, Any]:
    """Return what is in its `submission.json`."""
    return {
        "format": 1,
        "name": "mine",
        "benchmark": BENCHMARK,
        "architecture": architecture_name,
        "decoding": "greedy",
        "track": "frozen",
        "priming_moves": 8,
        "watched": {"mode": "multi", "histories": entries(data, *WATCHED)},
        "checkpoints": [{"folder": "all", "teacher": None, "training_seed": 3}],
    }


def entries(data: Path, *names: str) -> list[dict[str, Any]]:
    """Return the true entries of `watched.histories`; hashed here by hand."""
    watched_moves = benchmarks.load(BENCHMARK).watched_moves
    found = []
    for name in names:
        history = history_format.read(data / BENCHMARK / name / "history.parquet")
        moves = min(watched_moves, history.num_moves)
        digest = hashlib.sha256(json.dumps([history.header.game, moves], separators=(",", ":")).encode())
        for column, kind in (("action", "u1"), ("reward", "<f4")):
            digest.update(f"\n{column} {kind}\n".encode() + getattr(history, column)[:moves].tobytes())
        for column in ("terminated", "truncated", "explored"):
            digest.update(f"\n{column} ?\n".encode() + getattr(history, column)[:moves].tobytes())
        found.append({"name": name, "moves": moves, "sha256": digest.hexdigest()})
    return found


def write_runs(data: Path) -> None:
    """Write random darkroom runs: two to watch (one is longer than W), one new."""
    watched_moves = benchmarks.load(BENCHMARK).watched_moves
    for name, moves in zip((*WATCHED, NEW), (watched_moves + 100, 600, 600), strict=True):
        record(data / BENCHMARK / name / "history.parquet", f"darkroom/{name.partition('/')[0]}", moves)
    pinning.pin(benchmarks.load(BENCHMARK), data)


def record(path: Path, game_name: str, moves: int) -> None:
    """Write a run of random moves, half of them marked as explored."""
    path.parent.mkdir(parents=True)
    game = games.load(game_name)
    player = {"kind": "teacher", "seed": 0}
    header = Header(game.name, dict(game.fingerprint), player, {"kind": "test"}, (), {})
    benchmark = benchmarks.load(BENCHMARK)
    rule = SegmentRule(benchmark.segment_moves, (benchmark.watched_moves,))
    recorder = Recorder([Run(path, game, 7, header)], rule)
    recorder.start()
    rng = np.random.default_rng(len(game_name) + moves)
    for _ in range(moves):
        recorder.step(rng.integers(game.num_actions, size=1), rng.random(1) < 0.5)
    recorder.finish()


def content(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder with its bytes; links and pipes by kind."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and path.stat().st_size < 1e8
        else b"?"
        for path in folder.rglob("*")
        if not path.is_dir()
    }
