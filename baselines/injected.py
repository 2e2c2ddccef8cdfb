"""Injected improvement: each episode is played by the teacher's network of that block, or by the one at W.

A control with a known size: the later network plays with probability f, so f of the teacher's gain is gained.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from understudy.baselines import Assignment
from understudy.baselines.learning import beginnings
from understudy.baselines.learning.flat_networks import learned_by, views
from understudy.suite import draws
from understudy.suite.errors import InputError
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import knowledge, network
from understudy.suite.teachers.checkpoints import NETWORK_AT_W

BLOCKS = 20  # the windows of a life's curve, N/20 moves each
NETWORKS_A_BLOCK = {"darkroom": 5}  # evenly inside it, one drawn an episode; elsewhere the one in the middle


class Injected(nn.Module):
    """Frozen networks, T teachers' [T, 1 + 20k, P]: at W, then k of each block; the state says which plays.

    An episode that begins with a life's first move is played by the network at W: there the teacher is then.
    """

    reach_moves = None
    context_moves = None

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
        """Take, for each lane, the number of its teacher and the seed of its draws; `moves` is N."""
        super().__init__()
        self.register_buffer("networks", networks)
        self._teacher_of, self._seeds = teacher_of, seeds
        self._share, self._moves = share, moves
        self._game, self._played_games = game, played_games
        self._playing: tuple[list[list[int]], Tensor, network.Network] | None = None  # see _values
        self._streams: dict[int, draws.Uniforms] = {}

    def initial_state(self, batch_size: int) -> State:
        """Return {"age": moves seen, "lane": i modulo the lanes, "plays": a network}, int64 [B] each."""
        zeros = torch.zeros(batch_size, dtype=torch.int64)
        return {"age": zeros, "lane": torch.arange(batch_size) % len(self._seeds), "plays": zeros.clone()}

    @torch.inference_mode()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return the playing networks' action values [B, A], and the next state."""
        age = state["age"].masked_fill(timestep.first_of_life, 0)
        plays = state["plays"].masked_fill(timestep.first_of_life, 0)
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
        """Return the network of the episode that begins at this move: a function of lane and move."""
        if lane not in self._streams:
            self._streams[lane] = draws.Uniforms(self._seeds[lane], "injected", 2)
        injects, which = self._streams[lane].at(move)
        if move == 0 or injects >= self._share:
            return 0
        a_block = (self.get_buffer("networks").shape[1] - 1) // BLOCKS
        block = min(move * BLOCKS // self._moves, BLOCKS - 1)
        return 1 + block * a_block + int(which * a_block)

    def _values(self, lanes: list[int], plays: list[int], observation: Tensor) -> Tensor:
        """Return action values [B, A]; the rows' networks stay gathered as long as the same ones play."""
        wanted = [[self._teacher_of[lane], number] for lane, number in zip(lanes, plays, strict=True)]
        networks = self.get_buffer("networks")
        if self._playing is None or len(self._playing[0]) != len(wanted):
            flat = torch.zeros(len(wanted), networks.shape[2])
            net = network.Network(self._played_games, views(flat, self._game), 1)
            self._playing = ([[-1, -1] for _ in wanted], flat, net)
        gathered, flat, net = self._playing
        for row, pair in enumerate(wanted):
            if gathered[row] != pair:
                flat[row] = networks[pair[0], pair[1]]
                gathered[row] = pair
        return net.q_values(observation.unsqueeze(1))[:, 0].clone()


class InjectedControl:
    """The registered object; its variants are f."""

    name = "injected"
    control = True
    decoding = "greedy"
    track = "frozen"
    tasks = ("improvement",)
    variants = ("0.1", "0.25", "0.5")

    def build_control(self, assignment: Assignment) -> nn.Module:
        """Return the player; the networks of the continuations are relearnt from the teachers' logs.

        InputError if a continuation is shorter than N, or if relearning it would take hours.
        """
        game, watched, N = assignment.game, assignment.watched_moves, assignment.moves
        folders = list(dict.fromkeys(assignment.teachers))
        for folder in folders:
            continued = knowledge.history_of(folder).num_moves - watched
            if continued < N:
                raise InputError(
                    f"{folder}: expected a continuation of {N:,} moves after W = {watched:,}, found "
                    f"{max(0, continued):,}; injected networks are the teacher's own: take a smaller budget"
                )
        moves = [watched + move for move in block_moves(game.family, N)]
        networks = []
        relearnt = knowledge.of_folders(folders, moves, assignment.report)
        for folder, by_move in zip(folders, relearnt, strict=True):
            stored = network.load_parameters(folder / NETWORK_AT_W, game)
            at_w = {f"network.{name}": tensor[0] for name, tensor in stored.items()}
            learned = [at_w, *(by_move[move] for move in moves)]
            networks.append(torch.stack([learned_by(tensors, game)["network"] for tensors in learned]))
        return Injected(
            torch.stack(networks),
            [folders.index(folder) for folder in assignment.teachers],
            beginnings.seeds(f"{self.name}-{assignment.variant}", assignment),
            float(assignment.variant),
            N,
            game,
            beginnings.shown_games(assignment),
        )


def block_moves(family: str, moves: int) -> list[int]:
    """Return the moves of a continuation at which networks are taken, k in each of its blocks, in order."""
    a_block = NETWORKS_A_BLOCK.get(family, 1)
    count = BLOCKS * a_block
    return [(2 * index + 1) * moves // (2 * count) for index in range(count)]


ARCHITECTURE = InjectedControl()
