"""Networks trained elsewhere: they have the same values here, and no pickle is ever executed."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from support.torch_files import Evil, saved
from torch import nn

from understudy import cli
from understudy.suite import exploration, games
from understudy.suite.errors import InputError
from understudy.suite.histories import history_format, replay
from understudy.suite.teachers import fixed_player, network, policies
from understudy.suite.testing.history_checks import segment_frames

BREAKOUT = games.load("atari/breakout")
MINATAR = games.load("minatar/breakout")
DARKROOM = games.load("darkroom/goal-40")
LEGAL = np.flatnonzero(BREAKOUT.legal_actions)


class QNetwork(nn.Module):
    """The network of CleanRL's dqn_atari.py: Mnih et al. (2015), on frames divided by 255."""

    def __init__(self, actions: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(4, 32, 8, stride=4),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, stride=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(3136, 512),
            nn.ReLU(),
            nn.Linear(512, actions),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.network(x / 255.0)
        return found


class MinAtarNetwork(nn.Module):
    """The network of Young and Tian (2019), in CleanRL's form."""

    def __init__(self, channels: int = 10, actions: int = 6) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(channels, 16, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1024, 128),
            nn.ReLU(),
            nn.Linear(128, actions),
        )


def q_values(game: Any, parameters: network.Parameters, observations: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        q = network.q_values(game, parameters, torch.from_numpy(observations)[None])
    values: np.ndarray = q[0].numpy()
    return values


def screens(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 4, 84, 84)).astype(np.uint8)


@pytest.fixture(scope="module")
def cleanrl_file(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path: Path = tmp_path_factory.mktemp("cleanrl") / "dqn_atari.cleanrl_model"
    torch.save(QNetwork(4).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def sb3_dqn() -> Any:
    """An untrained DQN of Stable-Baselines3 with a CnnPolicy, on an environment of Breakout's shapes."""
    from stable_baselines3 import DQN

    class Screens(gymnasium.Env[np.ndarray, np.int64]):
        observation_space = gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8)
        action_space = gymnasium.spaces.Discrete(4)

    return DQN("CnnPolicy", Screens(), buffer_size=1, seed=0, device="cpu")


@pytest.fixture(scope="module")
def sb3_file(sb3_dqn, tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("sb3") / "dqn.zip"
    sb3_dqn.save(path)
    return path


# --- networks


def test_sb3_values_are_those_of_sb3(sb3_dqn, sb3_file):
    parameters = policies.policy("sb3").load(sb3_file, BREAKOUT)
    ours = q_values(BREAKOUT, parameters, screens())
    with torch.no_grad():
        theirs = sb3_dqn.policy.q_net(torch.from_numpy(screens())).numpy()
    assert np.ptp(theirs) > 0.01
    np.testing.assert_allclose(ours[:, LEGAL], theirs, atol=1e-5)


def test_sb3_mlp_of_darkroom(tmp_path):
    from stable_baselines3 import DQN

    class Room(gymnasium.Env[np.int64, np.int64]):
        observation_space = gymnasium.spaces.Discrete(81)
        action_space = gymnasium.spaces.Discrete(5)

    dqn = DQN("MlpPolicy", Room(), buffer_size=1, seed=0, policy_kwargs={"net_arch": [64]}, device="cpu")
    dqn.save(tmp_path / "dqn.zip")
    parameters = policies.policy("sb3").load(tmp_path / "dqn.zip", DARKROOM)
    cells = np.arange(81)
    with torch.no_grad():
        theirs = dqn.policy.q_net(torch.from_numpy(cells)).numpy()
    np.testing.assert_allclose(q_values(DARKROOM, parameters, cells), theirs, atol=1e-5)


@pytest.mark.parametrize("actions", [4, 18])
def test_cleanrl_values_are_those_of_the_module(actions, tmp_path):
    torch.manual_seed(1)
    module = QNetwork(actions)
    torch.save(module.state_dict(), tmp_path / "q.pth")
    parameters = policies.policy("cleanrl").load(tmp_path / "q.pth", BREAKOUT)
    with torch.no_grad():
        theirs = module(torch.from_numpy(screens())).numpy()
    ours = q_values(BREAKOUT, parameters, screens())
    np.testing.assert_allclose(ours[:, LEGAL] if actions == 4 else ours, theirs, atol=1e-5)


def test_minatar_shapes(tmp_path):
    torch.manual_seed(2)
    module = MinAtarNetwork()
    torch.save(module.state_dict(), tmp_path / "q.pth")
    parameters = policies.policy("cleanrl").load(tmp_path / "q.pth", MINATAR)
    seen = np.random.default_rng(0).random((6, 10, 10, 10)) < 0.3
    with torch.no_grad():
        theirs = module.network(torch.from_numpy(seen).float()).numpy()
    np.testing.assert_allclose(q_values(MINATAR, parameters, seen), theirs, atol=1e-5)


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("variant", games.family("minatar").variants())
def test_minatar_networks_of_the_package_choose_the_same_actions_in_its_games(variant, version, tmp_path):
    """`MinAtar/<Game>-v0` and `-v1`: the package's channels, its full and its minimal action set."""
    from minatar import gym

    env = gym.BaseEnv(variant, use_minimal_action_set=version == 1)
    states = played(env, 200)
    seen = torch.from_numpy(states).float().permute(0, 3, 1, 2)
    torch.manual_seed(5)
    module = MinAtarNetwork(env.observation_space.shape[2], env.action_space.n)
    with torch.no_grad():  # all values are negative, where a missing action of value 0 would be chosen
        module.network[-1].bias -= module.network(seen).mean(0) + 5
        theirs = module.network(seen).numpy()
    assert theirs.max() < 0
    torch.save(module.state_dict(), tmp_path / "q.pth")

    game = games.load(f"minatar/{variant}")
    parameters = policies.policy("cleanrl").load(tmp_path / "q.pth", game)
    ours = q_values(game, parameters, padded(states))
    np.testing.assert_allclose(ours[:, env.action_set], theirs, atol=1e-5)
    expected = np.array(env.action_set)[theirs.argmax(1)]
    assert len(set(expected.tolist())) > 1
    np.testing.assert_array_equal(
        exploration.greedy_actions(ours, np.array([game.legal_actions] * len(ours))), expected
    )


def played(env: Any, moves: int) -> np.ndarray:
    """Return the states of random play in the package's environment, bool [moves, 10, 10, C]."""
    rng = np.random.default_rng(0)
    states = []
    over = True
    for move in range(moves):
        if over:
            state, _ = env.reset(seed=move)
        states.append(state)
        state, _, over, _, _ = env.step(rng.integers(env.action_space.n))
    return np.array(states)


def padded(states: np.ndarray) -> np.ndarray:
    """Return states of the package, bool [n, 10, 10, C], as observations, bool [n, 10, 10, 10]."""
    observations = np.zeros((len(states), 10, 10, 10), bool)
    for channel in range(states.shape[3]):
        observations[:, channel] = states[..., channel]
    return observations


def test_minatar_networks_of_other_games_are_refused_with_all_accepted_shapes(tmp_path):
    load = policies.policy("cleanrl").load
    torch.save(MinAtarNetwork(7, 3).state_dict(), tmp_path / "freeway.pth")
    with pytest.raises(
        InputError,
        match=r"network.0.weight is \[16, 7, 3, 3\], expected \[16, 10, 3, 3\] or \[16, 4, 3, 3\] for a m",
    ):
        load(tmp_path / "freeway.pth", MINATAR)
    torch.save(MinAtarNetwork(4, 5).state_dict(), tmp_path / "asterix.pth")
    with pytest.raises(
        InputError, match=r"network.5.weight is \[5, 128\], expected \[6, 128\] or \[3, 128\] for a minatar"
    ):
        load(tmp_path / "asterix.pth", MINATAR)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_wrapped_networks_are_the_networks_inside(prefix, cleanrl_file, sb3_file, tmp_path):
    state = torch.load(cleanrl_file, weights_only=True)
    torch.save({prefix + name: tensor for name, tensor in state.items()}, tmp_path / "q.pth")
    same("cleanrl", tmp_path / "q.pth", cleanrl_file)
    rewrap(sb3_file, tmp_path / "whole.zip", lambda name: prefix + name)
    same("sb3", tmp_path / "whole.zip", sb3_file)
    rewrap(sb3_file, tmp_path / "inside.zip", lambda name: name.replace("q_net.", f"q_net.{prefix}", 1))
    same("sb3", tmp_path / "inside.zip", sb3_file)


def same(kind: str, path: Path, plain: Path) -> None:
    """Compare the network of a file with that of the file that `plain` names."""
    load = policies.policy(kind).load
    expected = load(plain, BREAKOUT)
    found = load(path, BREAKOUT)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def rewrap(zipped: Path, target: Path, rename: Callable[[str], str]) -> None:
    """Write a Stable-Baselines3 zip again, with other names in its state dict."""
    with zipfile.ZipFile(zipped) as archive, zipfile.ZipFile(target, "w") as other:
        for member in archive.namelist():
            data = archive.read(member)
            if member == "policy.pth":
                state = torch.load(io.BytesIO(data), weights_only=True)
                data = saved({rename(name): tensor for name, tensor in state.items()})
            other.writestr(member, data)


def test_other_architectures_are_refused_with_both_shapes(tmp_path, cleanrl_file, sb3_file):
    load = policies.policy("cleanrl").load
    with pytest.raises(
        InputError,
        match=r"5 layers .* a minatar teacher has 3 \(\[16, 10, 3, 3\], \[128, 1024\], \[6, 128\]\)",
    ):
        load(cleanrl_file, MINATAR)
    torch.save(QNetwork(6).state_dict(), tmp_path / "six.pth")
    with pytest.raises(
        InputError, match=r"network.9.weight is \[6, 512\], expected \[18, 512\] or \[4, 512\]"
    ):
        load(tmp_path / "six.pth", BREAKOUT)
    wide = QNetwork(4)
    wide.network[0] = nn.Conv2d(3, 32, 8, stride=4)
    torch.save(wide.state_dict(), tmp_path / "rgb.pth")
    with pytest.raises(InputError, match=r"network.0.weight is \[32, 3, 8, 8\], expected \[32, 4, 8, 8\]"):
        load(tmp_path / "rgb.pth", BREAKOUT)
    with pytest.raises(InputError, match="a darkroom teacher has 2"):
        policies.policy("sb3").load(sb3_file, DARKROOM)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("network.0.bias"), "no network.0.bias; found network.0.weight"),
        (lambda state: state["network.4.bias"].fill_(torch.nan), "network.4.bias: expected finite"),
        (
            lambda state: state.update({"network.4.bias": torch.zeros(64, dtype=torch.int64)}),
            "network.4.bias: expected finite floating-point numbers, found int64",
        ),
        (
            lambda state: state.update({"critic.weight": torch.zeros(2)}),
            "'critic.weight' is not of a QNetwork",
        ),
    ],
)
def test_incomplete_state_dicts_are_refused(change, message, tmp_path):
    state = QNetwork(4).state_dict()
    change(state)
    torch.save(state, tmp_path / "q.pth")
    with pytest.raises(InputError, match=message):
        policies.policy("cleanrl").load(tmp_path / "q.pth", BREAKOUT)


# --- files


def test_files_that_are_no_sb3_zips_are_refused(tmp_path, sb3_file):
    load = policies.policy("sb3").load
    with pytest.raises(InputError, match="no such file; expected the zip"):
        load(tmp_path / "absent.zip", BREAKOUT)
    (tmp_path / "text.zip").write_bytes(b"hello")
    with pytest.raises(InputError, match="not a whole zip"):
        load(tmp_path / "text.zip", BREAKOUT)
    (tmp_path / "cut.zip").write_bytes(sb3_file.read_bytes()[:1000])
    with pytest.raises(InputError, match="not a whole zip"):
        load(tmp_path / "cut.zip", BREAKOUT)
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(InputError, match=r"no policy\.pth in it"):
        load(tmp_path / "other.zip", BREAKOUT)
    with zipfile.ZipFile(tmp_path / "ppo.zip", "w") as archive:
        archive.writestr("policy.pth", saved({"action_net.weight": torch.zeros(4, 4)}))
    with pytest.raises(
        InputError, match=r"no q_net.\* in policy.pth, found action_net.weight; expected the zip of a DQN"
    ):
        load(tmp_path / "ppo.zip", BREAKOUT)


def test_malicious_pickles_in_an_sb3_zip_are_not_executed(tmp_path, sb3_file):
    marker = tmp_path / "ran"
    members = {}
    with zipfile.ZipFile(sb3_file) as archive:
        for name in archive.namelist():
            members[name] = archive.read(name)
    members["data"] = pickle.dumps(Evil(marker))
    members["pytorch_variables.pth"] = saved(Evil(marker))
    for policy in (members["policy.pth"], saved({"q_net.a.weight": Evil(marker)})):
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
            for name, data in {**members, "policy.pth": policy}.items():
                archive.writestr(name, data)
        if policy == members["policy.pth"]:
            policies.policy("sb3").load(tmp_path / "evil.zip", BREAKOUT)
        else:
            with pytest.raises(InputError, match="not a plain state dict"):
                policies.policy("sb3").load(tmp_path / "evil.zip", BREAKOUT)
    assert not marker.exists()


def test_names_are_files():
    assert policies.policies() == ("cleanrl", "sb3")
    with pytest.raises(InputError, match="unknown policy format 'clean-rl'; did you mean 'cleanrl'"):
        policies.policy("clean-rl")
    with pytest.raises(InputError, match=r"no such file; expected a \.cleanrl_model"):
        policies.policy("cleanrl").load(Path("absent.pth"), BREAKOUT)


# --- the recorded run


@pytest.fixture
def minatar_file(tmp_path) -> Path:
    torch.manual_seed(3)
    path: Path = tmp_path / "dqn.cleanrl_model"
    torch.save(MinAtarNetwork().state_dict(), path)
    return path


def test_the_recorded_run_is_greedy_and_replays(minatar_file, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["histories", "import", "cleanrl", str(minatar_file), "--game", "minatar/breakout"]
    assert cli.main([*command, "--out", str(out), "--moves", "700"]) == 0
    shown = capsys.readouterr()
    for line in ("no learning history", "its skill here is not its published one", "never a reference"):
        assert line in shown.err
    assert "its player doesn't learn, so it is no teacher's run" in shown.out
    history = history_format.read(out / "history.parquet")
    assert history.num_moves == 700
    assert history.header.player["kind"] == "fixed"
    assert history.header.player["source"]["file"] == minatar_file.name
    replay.verify(history, processes=1)
    parameters = network.load_parameters(out / "network.safetensors", MINATAR)
    frames = np.array(list(segment_frames(history, 0)))
    best = q_values(MINATAR, parameters, frames).argmax(1)
    taken = ~history.explored
    np.testing.assert_array_equal(history.action[taken], best[taken])
    assert 0 < history.explored.mean() < 0.04
    assert cli.main([*command, "--out", str(out)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_an_interrupted_run_resumes_to_the_same_bytes(minatar_file, tmp_path):
    parameters = policies.policy("cleanrl").load(minatar_file, MINATAR)

    def play(out: Path, stop: int | None = None, moves: int = 600) -> Path:
        def report(done: int, total: int) -> None:
            if done == stop:
                raise KeyboardInterrupt

        return fixed_player.play(MINATAR, parameters, {"importer": "x"}, ("y",), out, moves, report)

    whole = play(tmp_path / "whole")
    for stop in (200, 450):
        with pytest.raises(KeyboardInterrupt):
            play(tmp_path / "stopped", stop)
    with pytest.raises(InputError, match=r"another run was begun here \(450 moves, not 300"):
        play(tmp_path / "stopped", moves=300)
    with pytest.raises(InputError, match=r"another run was begun here \(player"):
        fixed_player.play(MINATAR, parameters, {"importer": "z"}, ("y",), tmp_path / "stopped", 600)
    assert play(tmp_path / "stopped").read_bytes() == whole.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        play(tmp_path / "stopped")


def test_atari_networks_can_play(cleanrl_file, tmp_path):
    parameters = policies.policy("cleanrl").load(cleanrl_file, BREAKOUT)
    path = fixed_player.play(BREAKOUT, parameters, {"importer": "x"}, policies.LACKS, tmp_path, 60)
    history = history_format.read(path)
    assert set(history.action.tolist()) <= set(LEGAL.tolist())
    replay.verify(history, processes=1)
