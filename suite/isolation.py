"""Isolation: a lane plays the same moves whatever the other rows of its batch are fed.

A memory that leaks between lanes would let one life profit from another's reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import nn

from understudy.suite import exploration, games
from understudy.suite.harness import PRIMING_CHUNK_MOVES, Job, Outset
from understudy.suite.histories.format import History
from understudy.suite.histories.frames import frames
from understudy.suite.histories.timesteps import timesteps
from understudy.suite.protocols import Imitator, Timestep

CHECKED_MOVES = 10_000


def first_difference(
    job: Job,
    player: nn.Module,
    outset: Outset,
    histories: Sequence[History],
    lane: int,
    moves: int = CHECKED_MOVES,
) -> int | None:
    """Return the first of a life's first moves at which the player would choose otherwise, or None.

    The batch has the job's size; row `lane` is fed its own log, the others those of `fed_lanes`.
    Moves that exploration replaced are not compared.
    """
    rows = fed_lanes(len(histories), lane)
    taken = min(moves, min(history.num_moves for history in histories))
    stores = {row: frames(histories[row], 0, taken) for row in set(rows)}
    game = games.load(job.lanes[lane].game)
    legal = np.array(game.legal_actions)[None]
    seeds = [job.lanes[lane].seed]
    sampler = exploration.Sampler(seeds, game.num_actions) if job.decoding == "sample" else None
    imitator, state, own = cast(Imitator, player), outset.state, histories[lane]
    for begin in range(0, taken, PRIMING_CHUNK_MOVES):
        end = min(taken, begin + PRIMING_CHUNK_MOVES)
        parts = [timesteps(histories[row], stores[row], begin, end) for row in rows]
        chunk = Timestep(*(torch.cat(columns) for columns in zip(*parts, strict=True)))  # [B, T, ...]
        for offset in range(end - begin):
            move = begin + offset
            timestep = Timestep(*(column[:, offset] for column in chunk))
            if move == 0:
                timestep = _as_begun(timestep, outset)
            with torch.inference_mode():
                logits, state = imitator.step(timestep, state)
            row = logits[lane : lane + 1].numpy()
            if sampler is None:
                chosen = exploration.greedy_actions(row, legal)
            else:
                chosen = sampler.sample(move, row, legal)
            if not own.explored[move] and chosen[0] != own.action[move]:
                return move
    return None


def fed_lanes(num_lanes: int, lane: int) -> list[int]:
    """Return which lane's log feeds each row: no row but `lane` its own, and one log is left out.

    Were the other logs only exchanged, a leak of their sum or mean would stay unseen.
    """
    others = [other for other in range(num_lanes) if other != lane]
    feeds = dict(zip(others, [lane, *others], strict=False)) | {lane: lane}
    return [feeds[row] for row in range(num_lanes)]


def _as_begun(timestep: Timestep, outset: Outset) -> Timestep:
    """Return the first timestep as the outset, primed or not, makes it."""
    return timestep._replace(
        previous_action=torch.from_numpy(outset.previous_action),
        previous_reward=torch.from_numpy(outset.previous_reward),
        first_of_life=torch.from_numpy(outset.first_of_life),
    )
