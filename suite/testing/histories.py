"""Conformance of a game's histories: what is played is recorded, survives a kill, replays, is seen again.

from understudy.suite import games
from understudy.suite.testing.histories import check_histories

check_histories(games.load("darkroom/goal-40"), folder)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from understudy.suite import draws, files
from understudy.suite.errors import CheckFailed
from understudy.suite.histories import format as history_format
from understudy.suite.histories import frames, replay
from understudy.suite.histories.format import COLUMNS, Header, History
from understudy.suite.histories.record import Life, Recorder, SegmentRule
from understudy.suite.protocols import Game

EXPLORED = 0.2  # of the moves of a random life are marked as explored


def check_histories(game: Game, folder: Path, moves: int = 600, lanes: int = 2, kills: int = 3) -> None:
    """Raise CheckFailed, naming the game and the place, unless its lives can be recorded and rebuilt.

    Writes below `folder`. Some 5 x `moves` x `lanes` uniform legal moves are made; an episode must end.
    """
    rule = SegmentRule(every_moves=moves // 3)
    whole = random_lives(game, folder / "whole", lanes)
    observations = np.array([recorder.observation.copy() for recorder in play_on(whole, rule, moves)])
    histories = [history_format.read(life.path) for life in whole]  # observations: [T, B, ...]
    for history in histories:
        check_segments(game, history, rule)
    check_kills(game, folder / "killed", whole, rule, moves, kills)
    for lane, history in enumerate(histories):
        check_replay(game, history)
        check_frames(game, history, observations[:, lane], folder / "cache")


def segment_frames(history: History, index: int) -> Iterator[np.ndarray]:
    """Yield the newest frame [*frame_shape] before each move of one segment, checking all that was logged.

    Raises:
        InputError: it was recorded under settings that this installation doesn't have.
        CheckFailed: the emulator's rewards, ends or frames differ from the record; names the place.
    """
    replay.require_comparable(history)
    for stretch in replay.play([history], [(0, index)]):
        if stretch.difference:
            raise CheckFailed(stretch.difference)
        yield from stretch.frames.copy()


def check_segments(game: Game, history: History, rule: SegmentRule) -> None:
    """Segments start at the first episode start at or after each boundary, and nowhere else."""
    starts = [segment.first_move for segment in history.header.segments if segment.length]
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
    game: Game, folder: Path, whole: Sequence[Life], rule: SegmentRule, moves: int, kills: int
) -> None:
    """Lives that are killed at random moves and gone on with end in the bytes of the lives `whole`."""
    lives = random_lives(game, folder, len(whole))
    rng = np.random.default_rng(moves)
    stops = np.sort(rng.integers(0, moves, kills))
    for stop in [*stops, moves]:
        for recorder in play_on(lives, rule, moves, checkpoint_moves=max(1, moves // 7)):
            if stop < moves and recorder.move >= stop:
                break  # nothing is closed or flushed
    for one, other in zip(whole, lives, strict=True):
        if one.path.read_bytes() != other.path.read_bytes():
            _fail(game, f"killed at moves {stops.tolist()} and gone on with, {other.path.name} differs")


def check_replay(game: Game, history: History) -> None:
    """The life replays from its log, and does not once actions in it are altered."""
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
        _fail(game, "other actions in segment 1 replay as if they had been recorded")


def check_frames(game: Game, history: History, observations: np.ndarray, cache: Path) -> None:
    """The frame store gives back the observations [T, *observation_shape] that were seen live."""
    store = frames.frames(history, processes=1, cache=cache)
    T = history.num_moves
    rng = np.random.default_rng(T)
    pairs = np.sort(rng.integers(0, T + 1, (30, 2)))
    for start, stop in [(0, T), *pairs.tolist()]:
        if not np.array_equal(store.observations(start, stop), observations[start:stop]):
            _fail(game, f"the frame store's observations of moves [{start}, {stop}) are not those seen live")
        if not np.array_equal(store[start:stop], game.newest_frame(observations[start:stop])):
            _fail(game, f"the frame store's frames of moves [{start}, {stop}) are not those seen live")
    chosen = rng.integers(0, T, (5, 7))
    if not np.array_equal(store.observations_at(chosen), observations[chosen]):
        _fail(game, f"the frame store's observations of moves {chosen.tolist()} are not those seen live")


def random_lives(game: Game, folder: Path, lanes: int, seed: int = 0) -> list[Life]:
    """Return lives to be played at random, one a lane, below a folder."""
    seeds = [draws.derive("random life", game.name, seed, lane) for lane in range(lanes)]
    return [
        Life(
            folder / f"lane-{lane}.parquet",
            game,
            seeds[lane],
            Header(
                game=game.name,
                fingerprint=dict(game.fingerprint),
                player={"kind": "random"},
                life={"seed": f"{seeds[lane]:032x}"},
                segments=(),
                versions={},
            ),
        )
        for lane in range(lanes)
    ]


def play_on(
    lives: Sequence[Life], rule: SegmentRule, moves: int, checkpoint_moves: int = 1000
) -> Iterator[Recorder]:
    """Play uniform legal moves to the end, from the last checkpoint or the start; yield before each move.

    Whoever stops iterating kills the lives there. At the end the histories are written.
    """
    progress = lives[0].path.with_name("progress.json")
    recorder = Recorder(lives, rule)
    if progress.exists():
        recorder.resume([life.recorded(files.read_json(progress)) for life in lives])
    else:
        recorder.start()
        files.write_json(progress, 0)
    legal = np.flatnonzero(lives[0].game.legal_actions)
    uniforms = [draws.Uniforms(life.seed, "random player", 2) for life in lives]
    while recorder.move < moves:
        yield recorder
        drawn = np.array([stream.at(recorder.move) for stream in uniforms])  # [B, 2]
        recorder.step(legal[(drawn[:, 0] * len(legal)).astype(int)], drawn[:, 1] < EXPLORED)
        if recorder.move % checkpoint_moves == 0 or recorder.move == moves:
            recorder.checkpoint()
            files.write_json(progress, recorder.move)
    recorder.finish()


def same_moves(one: History, other: History) -> bool:
    """Whether two histories hold the same columns, bit for bit."""
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        and getattr(one, name).dtype == getattr(other, name).dtype
        for name in COLUMNS
    )


def _fail(game: Game, what: str) -> NoReturn:
    raise CheckFailed(f"{game.name}: {what}")
