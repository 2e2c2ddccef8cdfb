"""A DQN as an imitator: everything that changes while it learns is in its state, one row per run.

Network, target, Adam's averages and number of updates, replay memory, counters and the seed of the draws are
in the state. Buffers hold the snapshots from which runs start, and never change. As it learns by a
hand-written rule, it belongs to the learning track.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.optim import adam

from understudy.baselines.controls.in_state.flat_networks import LEARNED, views
from understudy.baselines.controls.in_state.in_state_memory import RingMemory
from understudy.baselines.controls.in_state.located import Located
from understudy.baselines.controls.in_state.snapshots import Snapshot
from understudy.suite import draws
from understudy.suite.protocols import Game, State, Timestep
from understudy.suite.teachers import dqn, network
from understudy.suite.teachers.replay_memory import Batch

ADAM = ("network", "average", "square", "updates")  # what an update changes
BETAS = (0.9, 0.999)  # of Adam; torch's defaults, as for the teachers
HALF_SEED = 2**64
CPU = torch.device("cpu")


class InStateDQN(Located):
    """Action values of the present observation, after the update that is due after the newest move.

    While the teachers' schedule explores more than the harness does, a row also explores by itself: its
    logits then select an action that it draws. It learns from the executed actions, in `unroll` too.

    It computes on the CPU, by numpy and torch: from another device the whole state is copied down for a move
    and up again, which is slow where the replay memory is large.
    """

    reach_moves = None
    computes_on_host = True

    def __init__(
        self,
        game: Game,
        settings: dqn.DQNSettings,
        capacity: int,
        snapshots: Sequence[Snapshot],
        snapshot_of: Sequence[int],
        seeds: Sequence[int],
        played_games: Sequence[Game] = (),
    ) -> None:
        """Build the player of some lanes.

        Args:
            game: a game with the shapes and cap of those that are played.
            settings: of the teachers' DQN.
            capacity: moves of the replay memory.
            snapshots: from which runs start.
            snapshot_of: the index of each lane's snapshot.
            seeds: of each lane's draws.
            played_games: the games, if known, from which the planes that are shown follow.
        """
        super().__init__()
        self.game, self.settings = game, settings
        self._memory = RingMemory(game, capacity)
        self._snapshot_of, self._seeds = list(snapshot_of), [_halves(seed) for seed in seeds]
        self._snapshots = list(snapshots)
        for name in LEARNED:
            self.register_buffer(name, torch.stack([one.learned[name] for one in snapshots]))
        for index, one in enumerate(snapshots):
            for name, tensor in (one.memory or {}).items():
                self.register_buffer(f"{name}_{index}", tensor)
        self._played_games = tuple(played_games)
        self._streams: dict[
            tuple[int, int, str], draws.Uniforms
        ] = {}  # cache; determined by seeds in the state
        self._updaters: dict[int, _Updater] = {}  # by number of rows
        self._actor: _Actor | None = None

    def initial_state(self, batch_size: int) -> State:
        """Return each lane's snapshot as a state; row i is as lane i modulo the lanes."""
        B = batch_size
        lanes = [row % len(self._seeds) for row in range(B)]
        state = {
            **{name: torch.empty(B, self.get_buffer(name).shape[1]) for name in LEARNED},
            "updates": torch.zeros(B),
            "age": torch.zeros(B, dtype=torch.int64),
            "episode_moves": torch.zeros(B, dtype=torch.int64),  # made in this episode
            "pending": torch.zeros(B, dtype=torch.bool),  # whether a chosen move awaits its outcome
            "lane": torch.tensor(lanes),
            "seed": torch.zeros((B, 2), dtype=torch.int64),  # high and low half
            **self._memory.empty(B),
        }
        state = _on(self.device, state)
        for row, lane in enumerate(lanes):
            self._load_snapshot(state, row, lane)
        return state

    @torch.inference_mode()
    def step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        """Store the outcome of the last move, update, and return action values [B, A] and the next state.

        On the CPU the next state is the given one, changed in place.
        """
        if self.device == CPU:
            return self._step(timestep, state)
        here = Timestep(*(field.cpu() for field in timestep))
        logits, after = self._step(here, _on(CPU, state))
        return logits.to(self.device), _on(self.device, after)

    def _step(self, timestep: Timestep, state: State) -> tuple[Tensor, State]:
        for row in (timestep.first_of_run & state["pending"]).nonzero()[:, 0].tolist():
            for name, empty in self._memory.empty(1).items():
                state[name][row] = empty[0]
            self._load_snapshot(state, row, int(state["lane"][row]))
        age = state["age"].numpy()
        first = timestep.first.numpy()
        rows = np.flatnonzero(state["pending"].numpy())
        self._complete(state, rows, timestep)
        self._memory.see(state, age, timestep.observation.numpy(), first)
        self._learn(state, rows, timestep.legal_actions)
        if self._actor is None or not self._actor.reads(state["network"]):
            self._actor = _Actor(self.game, state["network"], self._played_games)
        logits = self._actor.values(timestep.observation)
        self._explore(logits, state, timestep.legal_actions)
        episode_moves = state["episode_moves"].numpy()
        episode_moves[first] = 0
        episode_moves += 1
        age += 1
        state["pending"].fill_(True)
        return logits, state

    @torch.inference_mode()
    def unroll(self, timesteps: Timestep, state: State) -> tuple[Tensor, State]:
        """Return action values [B, T, A] for T moves, and the state after them."""
        here, state = Timestep(*(field.cpu() for field in timesteps)), _on(CPU, state)
        moves = []
        for t in range(here.first.shape[1]):
            logits, state = self._step(Timestep(*(field[:, t] for field in here)), state)
            moves.append(logits)
        return torch.stack(moves, dim=1).to(self.device), _on(self.device, state)

    def _load_snapshot(self, state: State, row: int, lane: int) -> None:
        """Set a row, whose ring buffers are empty, to its lane's snapshot."""
        index = self._snapshot_of[lane]
        snapshot = self._snapshots[index]
        for name in LEARNED:
            state[name][row] = self.get_buffer(name)[index]
        for name in snapshot.memory or {}:
            state[name][row] = self.get_buffer(f"{name}_{index}")[0]
        state["updates"][row] = snapshot.updates
        state["age"][row] = snapshot.age
        state["episode_moves"][row] = 0
        state["pending"][row] = False
        state["seed"][row] = torch.tensor(self._seeds[lane])

    def _complete(self, state: State, rows: np.ndarray, timestep: Timestep) -> None:
        """Store the outcome of the newest move of these rows.

        A player does not observe truncation: an episode as long as the cap counts as truncated.
        """
        ended = timestep.first.numpy()[rows]
        capped = state["episode_moves"].numpy()[rows] >= self.game.episode_cap_moves
        self._memory.complete(
            state,
            rows,
            state["age"].numpy()[rows] - 1,
            timestep.previous_action.numpy()[rows],
            timestep.previous_reward.numpy()[rows],
            ended & ~capped,
            ended & capped,
        )

    def _learn(self, state: State, rows: np.ndarray, legal: Tensor) -> None:
        """Make the updates, and the copies to the target networks, that are due in these rows."""
        settings = self.settings
        age = state["age"].numpy()[rows]
        due = rows[(age >= settings.learning_starts) & (age % settings.update_every == 0)]
        if len(due):
            ages = state["age"].numpy()[due]
            streams = self._streams_of(state, due, "replay", settings.batch_size)
            indices = (ages // settings.update_every).tolist()
            uniforms = np.stack([stream.at(index) for stream, index in zip(streams, indices, strict=True)])
            batch = self._memory.draw(state, due, ages, uniforms)
            updater = self._updaters.get(len(due))
            if updater is None or (len(due) == len(state["age"]) and not updater.reads(state)):
                updater = _Updater(self.game, settings, state, len(due), self._played_games)
                self._updaters[len(due)] = updater
            updater.update(state, due, batch, legal)
        copied = rows[age % settings.target_every == 0]
        if len(copied):
            index = torch.from_numpy(copied)
            state["target"].index_copy_(0, index, state["network"].index_select(0, index))

    def _explore(self, logits: Tensor, state: State, legal: Tensor) -> None:
        """Make logits select a uniform legal action in rows whose schedule makes them explore."""
        settings, age = self.settings, state["age"].numpy()
        floor = settings.exploration_end
        rows = np.flatnonzero(age < settings.learning_starts + settings.exploration_moves)
        for row, stream in zip(rows, self._streams_of(state, rows, "schedule", 2), strict=True):
            chance = (settings.exploration(int(age[row])) - floor) / (1 - floor)
            explores, which = stream.at(int(age[row]))
            if explores < chance:
                actions = legal[row].nonzero()[:, 0]
                logits[row] = 0
                logits[row, actions[int(which * len(actions))]] = 1

    def _streams_of(self, state: State, rows: np.ndarray, name: str, width: int) -> list[draws.Uniforms]:
        found = []
        for high, low in state["seed"].numpy()[rows].tolist():
            key = (high, low, name)
            if key not in self._streams:
                seed = (high % HALF_SEED) * HALF_SEED + low % HALF_SEED
                self._streams[key] = draws.Uniforms(seed, name, width)
            found.append(self._streams[key])
        return found


class _Actor:
    """Evaluates the present networks on one observation per row."""

    def __init__(self, game: Game, flat: Tensor, played_games: Sequence[Game]) -> None:
        self._flat = flat
        self._network = network.Network(_shown(game, played_games), views(flat, game), 1)

    def reads(self, flat: Tensor) -> bool:
        """Return whether these are the networks that it evaluates."""
        return self._flat is flat

    def values(self, observation: Tensor) -> Tensor:
        """Return action values [B, A]."""
        return self._network.q_values(observation.unsqueeze(1))[:, 0].clone()


class _Updater:
    """Gradients and Adam of some rows: on the state itself if they are all of its rows, else on copies."""

    def __init__(
        self, game: Game, settings: dqn.DQNSettings, state: State, rows: int, played_games: Sequence[Game]
    ) -> None:
        self._settings = settings
        self._state = {name: state[name] for name in ADAM} if rows == len(state["age"]) else {}
        self._online, self._target = (
            state[name] if self._state else torch.empty(rows, state[name].shape[1])
            for name in ("network", "target")
        )
        self._rows_of_all = _rows(state, range(rows)) if self._state else []
        shown = _shown(game, played_games)
        online = views(self._online, game)
        self._learning = network.Network(shown, online, settings.batch_size)
        self._looking_ahead = network.Network(shown, views(self._target, game), settings.batch_size)
        self._gradients = {name: torch.zeros_like(view) for name, view in online.items()}
        self._gradient = torch.zeros_like(self._online)  # flat
        self._gradient_views = views(self._gradient, game)

    def reads(self, state: State) -> bool:
        """Return whether it works on this state's networks themselves."""
        same = bool(self._state) and self._target is state["target"]
        return same and all(tensor is state[name] for name, tensor in self._state.items())

    def update(self, state: State, rows: np.ndarray, batch: Batch, legal: Tensor) -> None:
        """Make one update in each of these rows, which rise; `legal` is [B, A]."""
        index = torch.from_numpy(rows)
        parts = self._rows_of_all
        if not self.reads(state):
            torch.index_select(state["network"], 0, index, out=self._online)
            torch.index_select(state["target"], 0, index, out=self._target)
            parts = _rows(state, rows.tolist())
        torch.set_flush_denormal(True)  # denormal averages of dead units would take half of Adam's time
        try:
            illegal = ~legal[index].unsqueeze(1)  # [R, 1, A]
            targets = dqn.td_targets(self._settings, batch, self._looking_ahead, illegal)
            dqn.backward(batch, targets, self._learning, self._gradients)
            for name, view in self._gradient_views.items():
                view.copy_(self._gradients[name])
            adam_update(self._settings, parts, list(self._gradient))
        finally:
            torch.set_flush_denormal(False)


def adam_update(settings: dqn.DQNSettings, rows: Sequence[Sequence[Tensor]], gradients: list[Tensor]) -> None:
    """Make Adam's update in place, each row with its own number of updates.

    `rows` are the rows of parameters, both averages ([P] each) and numbers of updates (a scalar each), in the
    order of ADAM.
    Source: Kingma and Ba, Adam (ICLR 2015), in torch's implementation, as for the teachers.
    """
    values, averages, squares, updates = (list(part) for part in rows)
    adam.adam(
        values,
        gradients,
        averages,
        squares,
        [],
        updates,
        fused=True,
        amsgrad=False,
        beta1=BETAS[0],
        beta2=BETAS[1],
        lr=settings.learning_rate,
        weight_decay=0.0,
        eps=settings.optimiser_epsilon,
        maximize=False,
    )


def _on(device: torch.device, state: State) -> State:
    """Return the state on a device, the same tensors where they are there already."""
    return {name: tensor.to(device) for name, tensor in state.items()}


def _rows(state: State, rows: Sequence[int]) -> list[list[Tensor]]:
    return [[state[name][row] for row in rows] for name in ADAM]


def _shown(game: Game, played_games: Sequence[Game]) -> list[Game]:
    """Return games that together show all planes that may be seen, for `network.Network`."""
    return list(played_games) or [game]


def _halves(seed: int) -> list[int]:
    """Return a 128-bit seed as two signed 64-bit numbers."""
    return [half - HALF_SEED * (half >= HALF_SEED // 2) for half in divmod(seed, HALF_SEED)]
