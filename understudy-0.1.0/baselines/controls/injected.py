"""Injected improvement: each episode is played by the teacher's network of that time, or by the one at W.

A control whose gain has a known size: the later network plays an episode with the probability that is the
variant's number, the share. So the interval of its normalised gain must cover the share.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.baselines.controls import Assignment
from understudy.baselines.controls.in_state import flat_networks, snapshots
from understudy.baselines.controls.in_state.located import Located
from understudy.suite import draws
from understudy.suite.errors import InputError
from understudy.suite.io.file_names import NETWORK_AT_W
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import network, recomputed

BLOCKS = 20  # of a run, N/20 moves each, as in its curve
NETWORKS_PER_BLOCK = {"darkroom": 5}  # evenly spaced, one is drawn per episode; elsewhere one, in the middle


class Injected(Located):
    """Frozen networks of T teachers, [T, 1 + 20k, P]: the one at W, then k per block.

    The state holds which network plays. A run's first episode is played by the network at W, where the
    teacher is at that time.
    """

    reach_moves = None
    computes_on_host = True  # draws by numpy

    def __init__(
        self,
        networks: Tensor,
        teacher_of: list[int],
        seeds: list[int],
        share: float,
        moves: int,
        game: Game,
        played_games: list[Game],
    ) -> None:
        """Take, for each lane, its teacher's index and the seed of its draws; `moves` is N."""
        super().__init__()
        self.register_buffer("networks", networks)
        self._teacher_of, self._seeds = teacher_of, seeds
        self._share, self._moves = share, moves
        self._game, self._played_games = game, played_games
        self._gathered: tuple[list[list[int]], Tensor, network.Network] | None = None  # see _values
        self._streams: dict[int, draws.Uniforms] = {}

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": moves seen, "lane": row modulo lanes, "plays": network's index}, int64 [B] each."""
        lane = torch.arange(batch_size, device=self.device) % len(self._seeds)
        return {"age": torch.zeros_like(lane), "lane": lane, "plays": torch.zeros_like(lane)}

    @torch.inference_mode()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, A] of the networks that play, and the next state."""
        age = state["age"].masked_fill(timestep.first_of_run, 0)
        plays = state["plays"].masked_fill(timestep.first_of_run, 0)
        for row in timestep.first.nonzero()[:, 0].tolist():
            plays[row] = self._drawn(int(state["lane"][row]), int(age[row]))
        logits = self._values(state["lane"].tolist(), plays.tolist(), timestep.observation)
        return logits, {"age": age + 1, "lane": state["lane"], "plays": plays}

    @torch.inference_mode()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, T, A] for T moves, and the state after them."""
        moves = []
        for t in range(timesteps.first.shape[1]):
            logits, state = self.step(Timestep(*(field[:, t] for field in timesteps)), state)
            moves.append(logits)
        return torch.stack(moves, dim=1), state

    def _drawn(self, lane: int, move: int) -> int:
        """Return the index of the network for an episode that begins at this move, drawn by lane and move."""
        if lane not in self._streams:
            self._streams[lane] = draws.Uniforms(self._seeds[lane], "injected", 2)
        injects, which = self._streams[lane].at(move)
        if move == 0 or injects >= self._share:
            return 0
        per_block = (self.get_buffer("networks").shape[1] - 1) // BLOCKS
        block = min(move * BLOCKS // self._moves, BLOCKS - 1)
        return 1 + block * per_block + int(which * per_block)

    def _values(self, lanes: list[int], plays: list[int], observation: Tensor) -> Tensor:
        """Return action values [B, A]; a row's network is copied only when another one begins to play."""
        wanted = [[self._teacher_of[lane], number] for lane, number in zip(lanes, plays, strict=True)]
        networks = self.get_buffer("networks")
        here = self._gathered is not None and self._gathered[1].device == self.device
        if self._gathered is None or not here or len(self._gathered[0]) != len(wanted):
            flat = torch.zeros(len(wanted), networks.shape[2], device=self.device)
            net = network.Network(self._played_games, flat_networks.views(flat, self._game), 1)
            self._gathered = ([[-1, -1] for _ in wanted], flat, net)
        gathered, flat, net = self._gathered
        for row, pair in enumerate(wanted):
            if gathered[row] != pair:
                flat[row] = networks[pair[0], pair[1]]
                gathered[row] = pair
        return net.q_values(observation.unsqueeze(1))[:, 0].clone()


class InjectedControl:
    """The control's registered object; its variants are the shares."""

    name = "injected"
    label = "injected"
    uses_teachers = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("improvement",)
    variants = ("0.1", "0.25", "0.5")

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; the continuations' networks are recomputed from the teachers' logs.

        Raises InputError if a continuation is shorter than N, or if recomputing it would take hours.
        """
        game, watched, N = assignment.game, assignment.watched_moves, assignment.moves
        folders = list(dict.fromkeys(assignment.teachers))
        for folder in folders:
            continued = recomputed.history_of(folder).num_moves - watched
            if continued < N:
                raise InputError(
                    f"{folder}: expected a continuation of {N:,} moves after W = {watched:,}, found "
                    f"{max(0, continued):,}; the injected networks are taken from it: choose a smaller budget"
                )
        moves = [watched + move for move in block_moves(game.family, N)]
        networks = []
        learned = recomputed.tensors_of(folders, moves, assignment.report)
        for folder, by_move in zip(folders, learned, strict=True):
            stored = network.load_parameters(folder / NETWORK_AT_W, game)
            at_w = {f"network.{name}": tensor[0] for name, tensor in stored.items()}
            in_order = [at_w, *(by_move[move] for move in moves)]
            flat = [flat_networks.flattened(tensors, game)["network"] for tensors in in_order]
            networks.append(torch.stack(flat))
        return Injected(
            torch.stack(networks),
            [folders.index(folder) for folder in assignment.teachers],
            snapshots.seeds(f"{self.label}-{assignment.variant}", assignment),
            float(assignment.variant),
            N,
            game,
            snapshots.shown_games(assignment),
        )


def block_moves(family: str, moves: int) -> list[int]:
    """Return the moves of a continuation at which networks are taken, k per block, in order."""
    count = BLOCKS * NETWORKS_PER_BLOCK.get(family, 1)
    return [(2 * index + 1) * moves // (2 * count) for index in range(count)]


CONTROL = InjectedControl()
