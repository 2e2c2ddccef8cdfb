"""What a move costs in a player process, as a ratio to the same move in the harness's own process.

Both play the same job in turns, move by move as `score` does, emulators and exploration included. A turn is
cut into pieces of PIECE_MOVES; given are the median over pieces and the lowest piece, of each place, and the
ratios of these. On a machine with other work the lowest says more: waiting for a core is no cost of ours.

usage: python tests/speed/player_process.py [TURNS]
"""

from __future__ import annotations

import itertools
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch

from understudy import baselines
from understudy.submissions import parameters, submission_format
from understudy.submissions.checkpoint_source import CheckpointSource
from understudy.submissions.submission_format import Config
from understudy.suite import benchmarks, draws, games
from understudy.suite.harness import child_player, rollout
from understudy.suite.harness.entry import PlayerRequest
from understudy.suite.harness.jobs import Job, Labels
from understudy.suite.harness.lanes import Lane
from understudy.suite.io import files

PIECE_MOVES = 25
TURNS = 5


@dataclass(frozen=True)
class Case:
    """A player on a benchmark, with the lanes of budget `full` or so many."""

    architecture: str
    benchmark: str
    lanes: int
    moves: int  # of a turn
    limit: float  # that the ratio is to stay below


CASES = (
    Case("bc", "darkroom-v1", 16, 1_000, 1.3),
    Case("transformer", "darkroom-v1", 16, 500, 1.3),
    Case("bc", "atari-v1", 8, 200, 1.15),
    Case("transformer", "atari-v1", 8, 100, 1.15),
)


def main(turns: int) -> None:
    """Print a line for each case."""
    print("| player | lanes | here, us/move | child, us/move | ratio of medians | of lowest | limit |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            here, child, confined = measured(case, Path(folder), turns)
        medians, lowest = (statistics.median(here), statistics.median(child)), (min(here), min(child))
        print(
            f"| {case.architecture} on {case.benchmark}, {confined} | {case.lanes} "
            f"| {medians[0] * 1e6:,.0f}, lowest {lowest[0] * 1e6:,.0f} "
            f"| {medians[1] * 1e6:,.0f}, lowest {lowest[1] * 1e6:,.0f} "
            f"| {medians[1] / medians[0]:.2f} | {lowest[1] / lowest[0]:.2f} | {case.limit} |",
            flush=True,
        )


def measured(case: Case, folder: Path, turns: int) -> tuple[list[float], list[float], str]:
    """Return seconds a move of each piece in this process and in the child, and how that is confined."""
    source, request = checkpoint(case, folder / "submission"), PlayerRequest((), False, 0)
    here, child = [], []
    with child_player.closing(parameters.load_in_child(source, request)) as confined:
        players = (here, parameters.load_player(source, request)), (child, confined)
        for turn in range(turns):
            for number, (found, player) in enumerate(players):
                found += pieces(case, player, folder / f"{turn}-{number}", turn)
        return here, child, child_player.confinement_of(confined)


def pieces(case: Case, player, folder: Path, seed: int) -> list[float]:
    """Play a job and return the seconds a move of its pieces; the first one is left out."""
    times: list[float] = []

    def report(done: int, total: int) -> None:
        if done % PIECE_MOVES == 0:
            times.append(time.perf_counter())

    rollout.play(
        job(case, seed), player, lambda: rollout.empty_start_state(player, case.lanes), folder, report
    )
    return [(end - begin) / PIECE_MOVES for begin, end in itertools.pairwise(times)]


def checkpoint(case: Case, folder: Path) -> CheckpointSource:
    """Write an untrained checkpoint of the architecture's default size."""
    benchmark = benchmarks.load(case.benchmark)
    game, architecture = games.load(benchmark.watched_games[0]), baselines.load(case.architecture)
    values = architecture.config(game)
    config = {"architecture": case.architecture, "family": game.family, "parameters": values}
    path = folder / "all" / "model.safetensors"
    path.parent.mkdir(parents=True)
    files.write_json(folder / "all" / "config.json", config)
    safetensors.torch.save_file(architecture.build(values, game).state_dict(), path)
    identity = submission_format.identity_of(Config(**config), path.read_bytes(), path)
    return CheckpointSource(folder, "all", identity, case.architecture, None, None, benchmark, ())


def job(case: Case, seed: int) -> Job:
    """Return the job of a turn."""
    game = games.load(benchmarks.load(case.benchmark).watched_games[0])
    return Job(
        labels=Labels(case.benchmark, "full", "speed", case.architecture, "all", None, None),
        benchmark="0" * 64,
        kind="transfer",
        player={"identity": "1" * 64, "checkpoint_identity": "2" * 64, "track": "frozen"},
        round="dev",
        salt="speed",
        decoding="greedy",
        priming_moves=0,
        moves=case.moves,
        exploration=game.exploration,
        segment_moves=50_000,
        lanes=tuple(
            Lane(game.name, "unit", "unit", lane, draws.derive(seed, lane), False)
            for lane in range(case.lanes)
        ),
        threads=1,
        device="cpu",
        precision="float32",
        versions={},
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else TURNS)
