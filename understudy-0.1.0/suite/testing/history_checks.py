"""Conformance checks of a game's histories: recording, kills, replay and the frame store.

from understudy.suite import games
from understudy.suite.testing.history_checks import check_histories

check_histories(games.load("darkroom/goal-40"), folder)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from understudy.suite import draws
from understudy.suite.errors import CheckFailed
from understudy.suite.histories import frame_store, history_format, replay
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import COLUMNS, Header, History
from understudy.suite.histories.recording import Recorder, Run
from understudy.suite.io import files
from understudy.suite.protocols import Game

EXPLORED = 0.2  # of the moves of a random run are marked as explored


def check_histories(game: Game, folder: Path, moves: int = 600, lanes: int = 2, kills: int = 3) -> None:
    """Run all checks of a game's histories; raise CheckFailed with the game's name and what is wrong.

    Writes below `folder`. Makes about 5 x `moves` x `lanes` uniformly drawn legal moves. `moves` must be
    enough for an episode to end.
    """
    rule = SegmentRule(every_moves=moves // 3)
    whole = random_runs(game, folder / "whole", lanes)
    observations = np.array([recorder.observation.copy() for recorder in play_on(whole, rule, moves)])
    histories = [history_format.read(run.path) for run in whole]  # observations: [T, B, ...]
    for history in histories:
        check_segments(game, history, rule)
    check_kills(game, folder / "killed", whole, rule, moves, kills)
    for lane, history in enumerate(histories):
        check_replay(game, history)
        check_frames(game, history, observations[:, lane], folder / "cache")


def segment_frames(history: History, index: int) -> Iterator[np.ndarray]:
    """Yield the newest frame [*frame_shape] before each move of one segment, compared with the log.

    Raises:
        InputError: the run was recorded under settings that this installation doesn't have.
        CheckFailed: rewards, ends or frames of the replay differ from the log; names segment and move.
    """
    replay.require_comparable(history)
    for part in replay.play([history], [(0, index)]):
        if part.difference:
            raise CheckFailed(part.difference)
        yield from part.frames.copy()


def check_segments(game: Game, history: History, rule: SegmentRule) -> None:
    """Check that segments start at the first episode start at or after each boundary, and nowhere else."""
    starts = [segment.first_move for segment in history.header.segments]
    expected, boundary = [], 0
    for move in np.flatnonzero(history.first).tolist():
        if move >= boundary:
            expected.append(move)
            later = (edge for edge in rule.also_at if edge > move)
            boundary = min([(move // rule.every_moves + 1) * rule.every_moves, *later])
    if starts != expected:
        _fail(game, f"segments start at moves {starts}; expected {expected}")
    if len(starts) < 2:
        _fail(game, f"one segment in {history.num_moves} moves; check it with more moves")


def check_kills(
    game: Game, folder: Path, whole: Sequence[Run], rule: SegmentRule, moves: int, kills: int
) -> None:
    """Check that runs killed at random moves and resumed give the same bytes as the runs `whole`."""
    runs = random_runs(game, folder, len(whole))
    rng = np.random.default_rng(moves)
    stops = np.sort(rng.integers(0, moves, kills))
    for stop in [*stops, moves]:
        for recorder in play_on(runs, rule, moves, checkpoint_moves=max(1, moves // 7)):
            if stop < moves and recorder.move >= stop:
                break  # without closing or flushing anything
    for one, other in zip(whole, runs, strict=True):
        if one.path.read_bytes() != other.path.read_bytes():
            _fail(game, f"killed at moves {stops.tolist()} and resumed, {other.path.name} differs")


def check_replay(game: Game, history: History) -> None:
    """Check that the run replays from its log, and doesn't after its actions are altered."""
    replay.verify(history, processes=1)
    segment = history.header.segments[1]
    legal = np.flatnonzero(game.legal_actions)
    if len(legal) < 2:
        return
    action = history.action.copy()
    altered = slice(segment.first_move, segment.first_move + segment.length)
    action[altered] = legal[(np.searchsorted(legal, action[altered]) + 1) % len(legal)]
    try:
        replay.verify(replace(history, action=action), processes=1)
    except CheckFailed as difference:
        if "segment 1 " not in str(difference):
            _fail(game, f"actions altered in segment 1 are reported as: {difference}")
    else:
        _fail(game, "altered actions in segment 1 are not noticed by a replay")


def check_frames(game: Game, history: History, observations: np.ndarray, cache: Path) -> None:
    """Check that the frame store gives the observations [T, *observation_shape] that were recorded."""
    store = frame_store.open_store(history, processes=1, cache=cache)
    T = history.num_moves
    rng = np.random.default_rng(T)
    pairs = np.sort(rng.integers(0, T + 1, (30, 2)))
    for start, stop in [(0, T), *pairs.tolist()]:
        if not np.array_equal(store.observations(start, stop), observations[start:stop]):
            _fail(game, f"the frame store's observations of moves [{start}, {stop}) differ from the recorded")
        if not np.array_equal(store[start:stop], game.newest_frame(observations[start:stop])):
            _fail(game, f"the frame store's frames of moves [{start}, {stop}) differ from the recorded")
    chosen = rng.integers(0, T, (5, 7))
    if not np.array_equal(store.observations_at(chosen), observations[chosen]):
        _fail(game, f"the frame store's observations of moves {chosen.tolist()} differ from the recorded")


def random_runs(game: Game, folder: Path, lanes: int, seed: int = 0) -> list[Run]:
    """Return runs of a random player, one for each lane, to be recorded below a folder."""
    seeds = [draws.derive("random life", game.name, seed, lane) for lane in range(lanes)]
    return [
        Run(
            folder / f"lane-{lane}.parquet",
            game,
            seeds[lane],
            Header(
                game=game.name,
                fingerprint=dict(game.fingerprint),
                player={"kind": "random"},
                run={"seed": f"{seeds[lane]:032x}"},
                segments=(),
                versions={},
            ),
        )
        for lane in range(lanes)
    ]


def play_on(
    runs: Sequence[Run], rule: SegmentRule, moves: int, checkpoint_moves: int = 1000
) -> Iterator[Recorder]:
    """Play uniform legal moves from the last checkpoint or the start; yield the recorder before each move.

    Stopping the iteration stands for a kill. After the last move the histories are written.
    """
    progress = runs[0].path.with_name("progress.json")
    recorder = Recorder(runs, rule)
    if progress.exists():
        recorder.resume([run.recorded(files.read_json(progress)) for run in runs])
    else:
        recorder.start()
        files.write_json(progress, 0)
    legal = np.flatnonzero(runs[0].game.legal_actions)
    uniforms = [draws.Uniforms(run.seed, "random player", 2) for run in runs]
    while recorder.move < moves:
        yield recorder
        drawn = np.array([stream.at(recorder.move) for stream in uniforms])  # [B, 2]
        recorder.step(legal[(drawn[:, 0] * len(legal)).astype(int)], drawn[:, 1] < EXPLORED)
        if recorder.move % checkpoint_moves == 0 or recorder.move == moves:
            recorder.checkpoint()
            files.write_json(progress, recorder.move)
    recorder.finish()


def same_moves(one: History, other: History) -> bool:
    """Return whether two histories have the same columns, bit for bit."""
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in COLUMNS
    )


def _fail(game: Game, what: str) -> NoReturn:
    raise CheckFailed(f"{game.name}: {what}")
