"""The training loop against straightforward ones, in the style of public scripts of algorithm distillation.

The peers keep runs as Python lists of moves, a `Dataset` makes each window move by move, the default
collation stacks the batch, and `nn.TransformerEncoder` attends to the whole window under a causal mask. They
have AdamW, clipping, the same sizes, targets and number of windows. One has three tokens a move (observation,
action, reward), as most public scripts have; the other has one, as ours. All use one thread and count its
processor time, reading and waiting included.
"""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from speed.ratios import describe
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from understudy import baselines
from understudy.baselines.training import loop
from understudy.baselines.training.settings import TrainingSettings
from understudy.suite import benchmarks, games
from understudy.suite.histories import frame_store
from understudy.suite.histories.windows import WatchedRuns

UPDATES = 8
SIZES = {  # game, runs, windows an update, moves a window, layers, width, heads, context
    "darkroom": ("darkroom-v1", 65, 64, 200, 4, 64, 4, 100),
    "minatar": ("minatar-v1", 2, 8, 512, 4, 128, 4, 256),
}
turns = pytest.mark.parametrize("turn", range(3), scope="module")
cpu_time = pytest.mark.benchmark(timer=time.process_time)
families = pytest.mark.parametrize("family", sorted(SIZES))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory):
    """Return a function from a family to its watched runs, read once."""
    read = {}

    def of(family):
        if family not in read:
            name, count = SIZES[family][:2]
            benchmark = benchmarks.load(name)
            found = [run for run in benchmarks.teacher_runs(benchmark) if run.game in benchmark.watched_games]
            histories = [benchmarks.read(run) for run in found[:count]]
            stores = frame_store.open_stores(histories, 0, benchmark.watched_moves)
            read[family] = histories, stores, benchmark.watched_moves
        return read[family]

    return of


@turns
@cpu_time
@families
def test_training(family, turn, benchmark, runs):
    torch.set_num_threads(1)
    _, _, batch, window, layers, width, heads, context = SIZES[family]
    histories, stores, watched = runs(family)
    architecture, game = baselines.load("transformer"), games.load(stores[0].game.name)
    config = architecture.config(game, layers=layers, width=width, heads=heads, context_moves=context)
    settings = TrainingSettings(updates=UPDATES, batch_size=batch, window_moves=window, targets="executed")
    source = WatchedRuns(histories, stores, watched)
    source.sample(1, window, np.random.default_rng(0))
    amount = UPDATES * batch * window
    describe(benchmark, f"training of the transformer, {family}", "train", amount=amount, unit="moves")
    benchmark.pedantic(loop.train, (architecture, config, game, source, settings))


@turns
@cpu_time
@families
@pytest.mark.parametrize("tokens", [3, 1])
def test_a_straightforward_loop(family, tokens, turn, benchmark, runs):
    torch.set_num_threads(1)
    _, _, batch, window, layers, width, heads, _ = SIZES[family]
    histories, stores, watched = runs(family)
    data = WindowsOfLists(histories, stores, watched, window, UPDATES * batch)
    model = PlainTransformer(stores[0].game, window, layers, width, heads, tokens)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def train():
        for observation, action, reward, target in DataLoader(data, batch):
            logits = model(observation, action, reward)
            loss = functional.cross_entropy(logits.flatten(0, 1), target.flatten())
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()

    describe(
        benchmark,
        f"training of the transformer, {family}",
        f"plain loop, {tokens} token{'s' * (tokens > 1)} a move",
        amount=UPDATES * batch * window,
        unit="moves",
        is_peer=True,
    )
    benchmark.pedantic(train)


class WindowsOfLists(Dataset):
    """Random windows of runs that are lists of (observation, action, reward)."""

    def __init__(self, histories, stores, watched, window, length):
        self.window, self.length = window, length
        self.runs = []
        for history, store in zip(histories, stores, strict=True):
            moves = min(watched, history.num_moves)
            seen = store.observations(0, moves)
            self.runs.append(
                list(zip(seen, history.action[:moves].tolist(), history.reward[:moves].tolist(), strict=True))
            )

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        run = self.runs[rng.integers(len(self.runs))]
        start = int(rng.integers(len(run) - self.window + 1))
        observations, actions, rewards, targets = [], [], [], []
        action, reward = 0, 0.0
        for move in range(start, start + self.window):
            observations.append(torch.as_tensor(run[move][0]))
            actions.append(action)
            rewards.append(reward)
            _, action, reward = run[move]
            targets.append(action)
        return torch.stack(observations), torch.tensor(actions), torch.tensor(rewards), torch.tensor(targets)


class PlainTransformer(nn.Module):
    """Embeddings, torch's encoder layers with a causal mask, one logit an action.

    With 3 tokens a move, the action is predicted from the token of its observation.
    """

    def __init__(self, game, window, layers, width, heads, tokens):
        super().__init__()
        if game.observation_shape:
            channels, rows, columns = game.observation_shape
            features = 16 * (rows - 2) * (columns - 2)
            self.observation = nn.Sequential(
                nn.Conv2d(channels, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(features, width)
            )
        else:
            self.observation = nn.Embedding(game.observation_values, width)
        self.action, self.reward = nn.Embedding(game.num_actions, width), nn.Linear(1, width)
        self.tokens, length = tokens, tokens * window
        self.position = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.decide = nn.Linear(width, game.num_actions)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(length))

    def forward(self, observation, action, reward):
        batch, window = action.shape
        flat = observation.flatten(0, 1)
        seen = self.observation(flat.float() if flat.dim() > 1 else flat).view(batch, window, -1)
        parts = self.action(action), self.reward(reward[..., None]), seen
        stacked = sum(parts) if self.tokens == 1 else torch.stack(parts, 2).flatten(1, 2)
        out = self.layers(stacked + self.position.weight, mask=self.mask, is_causal=True)
        return self.decide(out[:, self.tokens - 1 :: self.tokens])


def test_the_straightforward_loop_reads_what_was_played(runs):
    """So that the comparison is fair: its targets are the run's actions, its inputs those before them."""
    histories, stores, watched = runs("darkroom")
    data = WindowsOfLists(histories[:1], stores[:1], watched, 30, 4)
    for index in range(4):
        observation, action, reward, target = data[index]
        history = histories[0]
        (start,) = [
            m for m in range(watched - 30 + 1) if (history.action[m : m + 30] == target.numpy()).all()
        ]
        assert observation.tolist() == stores[0].observations(start, start + 30).tolist()
        assert action[1:].tolist() == history.action[start : start + 29].tolist()
        assert reward[1:].tolist() == history.reward[start : start + 29].tolist()


def test_both_loops_have_about_as_many_parameters():
    for family, (_, _, _, window, layers, width, heads, context) in SIZES.items():
        game = games.load({"darkroom": "darkroom/goal-00", "minatar": "minatar/breakout"}[family])
        architecture = baselines.load("transformer")
        config = architecture.config(game, layers=layers, width=width, heads=heads, context_moves=context)
        ours = sum(p.numel() for p in architecture.build(config, game).parameters())
        plain = sum(p.numel() for p in PlainTransformer(game, window, layers, width, heads, 3).parameters())
        assert abs(plain / ours - 1) < 0.25  # its positions are learned
