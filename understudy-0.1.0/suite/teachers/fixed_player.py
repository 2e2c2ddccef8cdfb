"""Play and record a fixed network under a game's settings.

The history can be replayed and verified like any other. It is not a teacher's run, as nothing is learned.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from understudy.suite import draws, exploration, games
from understudy.suite.errors import InputError
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.histories.history_format import Header
from understudy.suite.histories.recording import Recorder, Run
from understudy.suite.io import files, interrupts
from understudy.suite.io.file_names import HISTORY
from understudy.suite.protocols import Game
from understudy.suite.teachers import network
from understudy.suite.teachers.network import Parameters

NETWORK = "network.safetensors"
SEGMENT_MOVES = 10_000
CHECKPOINT_SECONDS = 60.0


def play(
    game: Game,
    parameters: Parameters,
    source: Mapping[str, Any],
    lacks: tuple[str, ...],
    out: Path,
    moves: int,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Play `moves` moves greedily, with the game's exploration; return `<out>/history.parquet`.

    A killed run resumes from its last checkpoint. The run's seed derives from the network's bytes.

    Args:
        game: the game to play.
        parameters: the network, S = 1; it is stored beside the history.
        source: where the network comes from; stored in the header.
        lacks: what the history does not show; stored in the header.
        out: folder of the history.
        moves: length of the run.
        report: called after each move with the moves played and in all.

    Raises:
        InputError: `out` already holds a history, or another player's unfinished one.
    """
    path = out / HISTORY
    if path.exists():
        raise InputError(f"{path}: exists already; choose another folder, or remove it to import again")
    torch.set_num_threads(1)
    stored = save({name: tensor[0].contiguous() for name, tensor in parameters.items()})
    recorder, seed = _recorder(game, stored, source, lacks, path, moves)
    files.write_atomically(out / NETWORK, stored)
    legal = np.array([game.legal_actions])  # [1, A]
    explorer = exploration.Explorer([seed], legal)
    last = time.monotonic()
    with interrupts.deferred_interrupts() as interrupted:
        try:
            while recorder.move < moves:
                observation = torch.from_numpy(recorder.observation).unsqueeze(0)  # [S, B, ...], both 1
                with torch.inference_mode():
                    q = network.q_values(game, parameters, observation)[0].numpy()  # [1, A]
                chosen = exploration.greedy_actions(q, legal)
                recorder.step(*explorer.execute(recorder.move, chosen, game.exploration))
                if time.monotonic() - last > CHECKPOINT_SECONDS:
                    recorder.checkpoint()
                    last = time.monotonic()
                interrupts.raise_if_interrupted(interrupted)
                report(recorder.move, moves)
        except KeyboardInterrupt:
            recorder.checkpoint()
            raise
    (written,) = recorder.finish()
    return written


def _recorder(
    game: Game, stored: bytes, source: Mapping[str, Any], lacks: tuple[str, ...], path: Path, moves: int
) -> tuple[Recorder, int]:
    """Return a recorder, at move 0 or at the last checkpoint of this player's run, and the run's seed."""
    sha256 = hashlib.sha256(stored).hexdigest()
    seed = draws.derive("fixed player", game.name, sha256)
    header = Header(
        game=game.name,
        fingerprint=dict(game.fingerprint),
        player={"kind": "fixed", "algorithm": "greedy", "network_sha256": sha256, "source": dict(source)},
        run={"kind": "fixed", "seed": f"{seed:032x}", "exploration": game.exploration, "lacks": list(lacks)},
        segments=(),
        versions={name: version(name) for name in ("understudy", "torch", "numpy")},
    )
    run = Run(path, game, seed, header)
    recorder = Recorder([run], SegmentRule(SEGMENT_MOVES))
    if not run.journal.exists:
        recorder.start()
        return recorder, seed
    begun = run.journal.load()
    differing = _differing(begun.header, header)
    if differing or begun.num_moves > moves:
        recorder.close()
        what = differing or f"{begun.num_moves} moves, not {moves}"
        raise InputError(f"{run.journal.folder}: another run was begun here ({what}); choose another folder")
    recorder.resume([begun])
    return recorder, seed


def _differing(one: Header, other: Header) -> str | None:
    plain = [{k: v for k, v in asdict(header).items() if k != "segments"} for header in (one, other)]
    found = games.differing_settings(*plain)
    return found[0][:200] if found else None
