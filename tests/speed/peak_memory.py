"""Peak memory of a function in a process of its own. Linux alone: the peak is read from /proc."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

STATUS = Path("/proc/self/status")


def in_new_process(work: Callable[..., None], *arguments: Any) -> float:
    """Return the most GiB that a process held which did nothing but this."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context) as pool:
        return pool.submit(_peak_gib, work, arguments).result()


def full_replay_memory() -> None:
    """Fill an Atari seed's replay memory, so that all of its pages are touched, and learn from it."""
    from understudy.suite import games
    from understudy.suite.teachers import dqn
    from understudy.suite.teachers.replay_memory import ReplayMemory

    game, settings, rng = games.load("atari/breakout"), dqn.SETTINGS["atari"], np.random.default_rng(0)
    learner = dqn.DQNLearner([game], settings, [0])
    memory = ReplayMemory(game, 1, settings.memory_moves)
    frames = rng.integers(256, size=(97, 1, *game.frame_shape), dtype=np.uint8)
    never = np.zeros(1, bool)
    for move in range(settings.memory_moves + 10):
        memory.see(frames[move % len(frames)], never)
        memory.complete(np.zeros(1, np.int64), np.zeros(1, np.float32), never, never)
    memory.see(frames[0], never)
    for _ in range(10):
        learner.update(memory.draw(rng.random((1, settings.batch_size))))


def batches_of_long_runs(segment_file: Path, segment_moves: int, folder: Path) -> None:
    """Draw batches from 16 runs of 1M moves.

    One segment's frames stand for all of them: what counts is what is held, not what is shown.
    """
    from understudy.suite.histories.frame_store import FrameStore
    from understudy.suite.histories.windows import WatchedRuns

    rng = np.random.default_rng(0)
    moves = 1_000_000 // segment_moves * segment_moves
    histories = [_made_up(moves, segment_moves, rng) for _ in range(16)]
    stores = []
    for run, history in enumerate(histories):
        run_folder = folder / f"run-{run}"
        run_folder.mkdir()
        for index in range(len(history.header.segments)):
            (run_folder / segment_file.name.replace("00000", f"{index:05d}")).hardlink_to(segment_file)
        stores.append(FrameStore(history, run_folder))
    source = WatchedRuns(histories, stores, moves)
    for _ in range(60):
        source.sample(32, 256, rng)


def _made_up(moves: int, segment_moves: int, rng: np.random.Generator) -> Any:
    from understudy.suite.histories.history_format import Header, History, Segment

    segments = tuple(Segment(cut, segment_moves, 1, 2) for cut in range(0, moves, segment_moves))
    return History(
        Header("atari/breakout", {}, {}, {}, segments, {}),
        action=rng.choice([0, 1, 3, 4], moves).astype(np.uint8),
        reward=np.zeros(moves, np.float32),
        terminated=rng.random(moves) < 0.005,
        truncated=np.zeros(moves, bool),
        explored=np.zeros(moves, bool),
    )


def _peak_gib(work: Callable[..., None], arguments: tuple[Any, ...]) -> float:
    work(*arguments)
    (kibibytes,) = (
        line.split()[1]
        for line in STATUS.read_text(encoding="utf-8").splitlines()
        if line.startswith("VmHWM")
    )
    return int(kibibytes) / 2**20
