"""Short runs of `walkers`, played and rechecked, in this process and in the child's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import custom_players, darkroom_jobs, walkers
from understudy.suite.harness import child_player, recheck, records, rollout
from understudy.suite.harness.recheck import Rechecked
from understudy.suite.histories.history_format import History

JOB = darkroom_jobs.job(moves=walkers.JOB_MOVES, name="walker")
LANES = len(darkroom_jobs.GOALS)
RELOADED_AT = walkers.JOB_MOVES // 2  # an episode begins: every lane has to find its goal


@dataclass(frozen=True)
class Played:
    """A job's logs, and whether its records call the player frozen."""

    histories: list[History]
    is_frozen: bool

    @property
    def late_points(self) -> float:
        """Points in the second half of all runs: a walker that has not learned makes few."""
        return float(sum(history.reward[walkers.JOB_MOVES // 2 :].sum() for history in self.histories))


def play(source: Any, folder: Path, in_child: bool = False) -> Played:
    """Play the job."""
    make = custom_players.in_child if in_child else custom_players.here
    with child_player.closing(make(source)) as player:
        histories = darkroom_jobs.play(player, folder, JOB)
    hashes = [records.read(folder / f"lane-{lane}")["parameters_sha256"] for lane in range(LANES)]
    return Played(histories, all(each["before"] == each["after"] for each in hashes))


def believed_before(source: Any, played: Played) -> Rechecked:
    """Recheck as before players had processes of their own: in this one, and loaded once."""
    player = custom_players.here(source)
    return recheck.recheck(JOB, player, rollout.empty_start_state(player, LANES), played.histories)


def rechecked(source: Any, played: Played, reload_at: tuple[int, ...] = (RELOADED_AT,)) -> Rechecked:
    """Recheck in a process of its own, loaded afresh before these moves."""
    with child_player.closing(custom_players.in_child(source)) as player:
        start_state = rollout.empty_start_state(player, LANES)
        return recheck.recheck(JOB, player, start_state, played.histories, reload_at=reload_at)
