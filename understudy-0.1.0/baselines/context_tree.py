"""Context tree weighting over the run: a computable cousin of Solomonoff induction, for games of cells.

It predicts the next action by a Bayesian mixture of all context trees up to a depth D. A context is the
sequence of the newest symbols: the present cell, then the previous action with its reward's sign and whether
an episode begins, then the cell before, and so on. Each node of the tree, one for each context of 0 ... D
symbols, counts which actions were executed after it in this run, and estimates

    P_e(a) = (n_a + prior_a) / sum over b of (n_b + prior_b),

and a node s of depth d < D mixes its estimate with its child's on the path of the present context:

    P_w^d(a) = g P_e^d(a) + (1 - g) P_w^(d+1)(a),   P_w^D = P_e^D,   logit g = odds + log beta,

where beta is the node's P_e over its children's P_w, of all actions executed after it so far. With `odds` 0
that is exactly the recursion P_w = P_e / 2 + (product of the children's P_w) / 2 of the paper, as a ratio.
What is learned from watched histories by gradient are the prior counts and the odds of each node, and what
actions gain for having been rewarded in a context. Untrained, each prior count is 1/2, the estimator of
Krichevsky and Trofimov, the odds and the gain are 0, and the model is context tree weighting itself.

Nodes lie in tables of a fixed size, one a depth. A depth with more contexts than that is hashed, and
contexts of one hash share a node. The counts stay exact up to 2^24 in each.
Source: Willems, Shtarkov and Tjalkens, The context-tree weighting method: basic properties (IEEE Trans. Inf.
Theory 41, 1995), equations 6 and 13; as the ratio beta: Willems and Tjalkens, Complexity reduction of the
context-tree weighting algorithm (1997). The rewards' part is this project's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from understudy.baselines.training.configured_architecture import ConfiguredArchitecture
from understudy.suite import validation
from understudy.suite.protocols import Game, State, Timestep

# A table's entry is trained only by windows that hold its context, and by about the learning rate each time:
# at a scale of 8, prior counts reach from 1/2 x e^-8 to 1/2 x e^8.
LOG_COUNT_SCALE = 8.0
PIECE_MOVES = 512  # `unroll` compares the contexts of so many moves pair by pair
# As signed numbers. Source: Steele et al., Fast splittable pseudorandom number generators (OOPSLA 2014)
MULTIPLIERS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)


@dataclass(frozen=True)
class ContextTreeConfig:
    """Settings of one model."""

    depth: int = validation.bounded(1, 12, 4, "symbols of the longest context; a move is two of them")
    nodes: int = validation.bounded(
        1, 1_048_576, 4096, "contexts of a depth that are kept apart; further ones share them by a hash"
    )
    prior_count: float = validation.bounded(
        1e-3, 1e3, 0.5, "count of each action before training; 0.5 is Krichevsky's and Trofimov's"
    )


class Events(NamedTuple):
    """What came out of the move before each of T moves."""

    path: Tensor  # [B, T, D + 1] int64, the nodes of the context in which the move was made
    action: Tensor  # [B, T] int64, as executed
    facts: Tensor  # [B, T, 2A] float32: the action as one-hot, and that times its reward's sign; 0 if no move


class ContextTree(nn.Module):
    """Context tree weighting with learned priors; its state holds the counts of this run.

    State: `age` int64 [B], the number of moves seen; `run` int64 [B], the number of runs begun; `recent`
    int64 [B, R, 2], cell and outcome of the last moves as symbols, 0 for none; `path` int64 [B, D + 1], the
    nodes of the last move; `ratios` float32 [B, D, A], log(P_e^d / P_w^(d+1)) of each action there, by which
    log beta changes; `nodes` float32 [B, (D + 1) x nodes, 2A + 2], for each node the counts of the actions,
    the sums of their rewards' signs, log beta, and the run in which it was written. A node that was written
    in another run counts as empty, so a new run clears nothing.
    """

    reach_moves = None  # counts never fade

    def __init__(self, config: ContextTreeConfig, game: Game) -> None:
        super().__init__()
        self.depth, self.nodes, self.actions = config.depth, config.nodes, game.num_actions
        self.prior_count = config.prior_count
        self.symbols = (
            game.observation_values + 1,
            6 * game.num_actions + 1,
        )  # cells and none, outcomes and none
        self.lags = max(1, (config.depth - 1) // 2)
        self.log_counts = nn.Parameter(torch.zeros((config.depth + 1) * config.nodes, game.num_actions))
        self.odds = nn.Parameter(torch.zeros(config.depth * config.nodes, 1))
        self.depth_odds = nn.Parameter(torch.zeros(config.depth))
        self.reward_gain = nn.Parameter(torch.zeros(config.depth + 1))

    def initial_state(self, batch_size: int) -> State:
        """Return the empty state of `batch_size` rows."""
        B, D, A, here = batch_size, self.depth, self.actions, self.log_counts.device
        return {
            "age": torch.zeros(B, dtype=torch.int64, device=here),
            "run": torch.zeros(B, dtype=torch.int64, device=here),
            "recent": torch.zeros(B, self.lags, 2, dtype=torch.int64, device=here),
            "path": (torch.arange(D + 1, device=here) * self.nodes).repeat(B, 1),
            "ratios": torch.zeros(B, D, A, device=here),
            "nodes": torch.zeros(B, (D + 1) * self.nodes, 2 * A + 2, device=here),
        }

    @torch.no_grad()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, A] for one move, and the next state; `nodes` is updated in place."""
        one = Timestep(*(field[:, None] for field in timestep))
        age, run, symbols, path, events = self._begun(one, state)
        nodes, D, A = state["nodes"], self.depth, self.actions
        happened = state["ratios"].gather(2, events.action[:, :, None].expand(-1, D, 1))  # [B, D, 1]
        change = torch.cat(
            (
                events.facts.expand(-1, D + 1, -1),
                functional.pad(happened, (0, 0, 0, 1))
                * events.facts[..., :A].sum(-1, keepdim=True),  # of log beta
            ),
            dim=-1,
        )  # [B, D + 1, 2A + 1]
        rows = self._read(nodes, events.path[:, 0], run) + change
        _write(nodes, events.path[:, 0], rows, run)
        known = self._read(nodes, path[:, 0], run)  # [B, D + 1, 2A + 1]
        estimate = self._estimate(known[..., :A], path[:, 0])  # [B, D + 1, A]
        share = self._share(known[:, :D, -1:], path[:, 0, :D])  # [B, D, 1]
        weighted = [estimate[:, D]]
        for d in range(D - 1, -1, -1):
            weighted.append(torch.lerp(weighted[-1], estimate[:, d], share[:, d]))
        mixture = weighted.pop()
        below = torch.stack(weighted[::-1], dim=1)  # [B, D, A], of depths 1 ... D
        logits = mixture.log() + self._gain(known, self.reward_gain[:, None]).sum(1)
        after = {
            "age": age + 1,
            "run": run,
            "recent": symbols[:, -self.lags :],
            "path": path[:, 0],
            "ratios": estimate[:, :D].log() - below.log(),
            "nodes": nodes,
        }
        return logits, after

    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return logits [B, T, A] for T moves, and the state after them, detached from the graph.

        There is no loop over moves: in a piece of 512 moves, what a move's nodes have seen is a product of
        the matrix of equal nodes, [B, 512, 512], with what happened. Gradients through beta stay in a piece.
        `first_of_run` is read at the first move only.
        """
        T = timesteps.first.shape[1]
        age, run, symbols, path, events = self._begun(timesteps, state)
        nodes, ratios = state["nodes"].clone(), state["ratios"]
        pieces = []
        for t in range(0, T, PIECE_MOVES):
            piece = slice(t, t + PIECE_MOVES)
            of_piece = Events(*(field[:, piece] for field in events))
            logits, ratios = self._unroll_piece(path[:, piece], of_piece, ratios, nodes, run)
            pieces.append(logits)
        after = {
            "age": age + T,
            "run": run,
            "recent": symbols[:, -self.lags :],
            "path": path[:, -1],
            "ratios": ratios,
            "nodes": nodes,
        }
        return torch.cat(pieces, dim=1), after

    def _unroll_piece(
        self, path: Tensor, events: Events, ratios: Tensor, nodes: Tensor, run: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits [B, T, A] and the last move's ratios [B, D, A]; `nodes` is updated in place."""
        D, A, T = self.depth, self.actions, path.shape[1]
        known = self._read(nodes, path, run)  # [B, T, D + 1, 2A + 1]
        is_past = torch.ones(T, T, dtype=torch.bool, device=path.device).tril()
        happened_at = events.facts[..., :A]  # [B, T, A]
        changes = [torch.zeros_like(happened_at[..., :1])]  # of log beta, [B, T, 1] each, from depth D to 0
        last_ratios: list[Tensor] = []
        logits, weighted = torch.zeros_like(happened_at), torch.zeros_like(happened_at)
        for d in range(D, -1, -1):
            same = (path[:, :, None, d] == events.path[:, None, :, d]) & is_past  # [B, T, T]
            seen = known[:, :, d, :-1] + torch.bmm(same.float(), events.facts)  # [B, T, 2A]
            estimate = self._estimate(seen[..., :A], path[:, :, d])  # [B, T, A]
            logits = logits + self._gain(seen, self.reward_gain[d])
            if d == D:
                weighted = estimate
                continue
            ratio = estimate.log() - weighted.log()  # [B, T, A]
            last_ratios.append(ratio[:, -1].detach())
            change = (torch.cat((ratios[:, d, None], ratio[:, :-1]), dim=1) * happened_at).sum(
                -1, keepdim=True
            )
            changes.append(change)
            log_beta = known[:, :, d, -1:] + torch.bmm(same.float(), change)  # [B, T, 1]
            share = self._share(log_beta[:, :, None], path[:, :, d : d + 1], d)[:, :, 0]  # [B, T, 1]
            weighted = torch.lerp(weighted, estimate, share)
        self._record(nodes, events, torch.cat(changes[::-1], dim=-1).detach(), run)
        return logits + weighted.log(), torch.stack(last_ratios[::-1], dim=1)

    def _begun(self, timesteps: Timestep, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor, Events]:
        """Return age [B], run [B], symbols [B, R + T, 2], paths [B, T, D + 1], and what came before each."""
        begins = timesteps.first_of_run[:, 0]  # [B]
        age = state["age"].masked_fill(begins, 0)
        run = state["run"] + begins
        action = timesteps.previous_action
        sign = timesteps.previous_reward.sign()  # [B, T]
        outcome = 1 + action * 6 + (sign.long() + 1) * 2 + timesteps.first
        counted = torch.ones_like(action)  # a run's first move comes after none
        counted[:, 0] = age > 0
        newest = torch.stack((timesteps.observation.long() + 1, outcome * counted), dim=-1)  # [B, T, 2]
        symbols = torch.cat((state["recent"].masked_fill(begins[:, None, None], 0), newest), dim=1)
        path = self._paths(symbols)
        executed = functional.one_hot(action, self.actions) * counted[..., None]  # [B, T, A]
        facts = torch.cat((executed.float(), executed * sign[..., None]), dim=-1)
        before = torch.cat((state["path"][:, None], path[:, :-1]), dim=1)
        return age, run, symbols, path, Events(before, action, facts)

    def _paths(self, symbols: Tensor) -> Tensor:
        """Return the nodes int64 [B, T, D + 1] of the contexts of 0 ... D symbols before each action."""
        T = symbols.shape[1] - self.lags
        context, contexts = (
            torch.zeros_like(symbols[:, self.lags :, 0]),
            1,
        )  # a context's number, and how many
        path = [context]
        for depth in range(self.depth):
            lag, kind = divmod(depth, 2)
            start = self.lags - lag
            context = context * self.symbols[kind] + symbols[:, start : start + T, kind]
            contexts *= self.symbols[kind]
            place = context if contexts <= self.nodes else _mixed(context) % self.nodes
            path.append(place + (depth + 1) * self.nodes)
        return torch.stack(path, dim=-1)

    def _read(self, nodes: Tensor, path: Tensor, run: Tensor) -> Tensor:
        """Return what the nodes of paths [B, ...] hold of this run, [B, ..., 2A + 1]."""
        B, _, F = nodes.shape
        rows = nodes.gather(1, path.view(B, -1, 1).expand(-1, -1, F)).view(*path.shape, F)
        is_old = rows[..., -1] != run.view(B, *[1] * (path.dim() - 1))
        return rows[..., :-1].masked_fill(is_old[..., None], 0)

    def _record(self, nodes: Tensor, events: Events, changes: Tensor, run: Tensor) -> None:
        """Add what happened to the nodes, in place; `changes` of log beta are [B, T, D + 1]."""
        B, T, depths = events.path.shape
        _write(nodes, events.path.flatten(1), self._read(nodes, events.path.flatten(1), run), run)
        facts = events.facts[:, :, None].expand(B, T, depths, -1)
        added = functional.pad(
            torch.cat((facts, changes[..., None]), dim=-1), (0, 1)
        )  # [B, T, D + 1, 2A + 2]
        nodes.scatter_add_(1, events.path.view(B, -1, 1).expand(-1, -1, nodes.shape[-1]), added.flatten(1, 2))

    def _estimate(self, counts: Tensor, path: Tensor) -> Tensor:
        """Return P_e [..., A] of counts [..., A] in the nodes [...]."""
        log_prior = LOG_COUNT_SCALE * functional.embedding(path, self.log_counts).tanh()
        counts = counts + self.prior_count * log_prior.exp()
        return counts / counts.sum(-1, keepdim=True)

    def _share(self, log_beta: Tensor, path: Tensor, first_depth: int = 0) -> Tensor:
        """Return the posterior shares g [..., d, 1] of nodes [..., d] whose depths begin at `first_depth`."""
        depths = path.shape[-1]
        odds = self.depth_odds[first_depth : first_depth + depths, None]
        return torch.sigmoid(log_beta + odds + functional.embedding(path, self.odds))

    def _gain(self, seen: Tensor, gain: Tensor) -> Tensor:
        """Return what actions gain [..., A] by the mean sign of their rewards in a node; it starts at 0."""
        counts, rewards = seen[..., : self.actions], seen[..., self.actions : 2 * self.actions]
        return gain * rewards / (counts + 1)


def _write(nodes: Tensor, path: Tensor, rows: Tensor, run: Tensor) -> None:
    """Write rows [B, N, 2A + 1] of a run into the nodes [B, N], in place."""
    B, N, _ = rows.shape
    stamped = torch.cat((rows, run.to(rows.dtype).view(B, 1, 1).expand(B, N, 1)), dim=-1)
    nodes.scatter_(1, path[..., None].expand(-1, -1, nodes.shape[-1]), stamped)


def _mixed(numbers: Tensor) -> Tensor:
    """Return int64 [...] hashes of numbers, modulo 2^64."""
    for multiplier in MULTIPLIERS:
        numbers = (numbers ^ (numbers >> 30)) * multiplier
    return numbers ^ (numbers >> 31)


ARCHITECTURE = ConfiguredArchitecture(
    "context-tree",
    ContextTree,
    {"cell": ContextTreeConfig()},
    small={"depth": 3, "nodes": 256},
)
