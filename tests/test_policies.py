"""Trained players of others: their networks give the same values here, and no pickle is ever run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

from understudy import cli
from understudy.suite import games
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories import replay
from understudy.suite.teachers import fixed_player, network, policies
from understudy.suite.teachers.policies import _state_dicts
from understudy.suite.testing.histories import segment_frames

BREAKOUT = games.load("atari/breakout")
MINATAR = games.load("minatar/breakout")
DARKROOM = games.load("darkroom/goal-40")
LEGAL = np.flatnonzero(BREAKOUT.legal_actions)


def saved(state: Any, **how: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer, **how)
    return buffer.getvalue()


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

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(10, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 128), nn.ReLU(), nn.Linear(128, 6)
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
def test_states_that_are_not_whole_are_refused(change, message, tmp_path):
    state = QNetwork(4).state_dict()
    change(state)
    torch.save(state, tmp_path / "q.pth")
    with pytest.raises(InputError, match=message):
        policies.policy("cleanrl").load(tmp_path / "q.pth", BREAKOUT)


# --- reading state dicts without unpickling


def tensors() -> dict[str, torch.Tensor]:
    base = torch.arange(24, dtype=torch.float32)
    return OrderedDict(
        a=base.reshape(2, 3, 4),
        view=base.reshape(4, 6).T[1:4, ::2],
        same=base[5:],
        scalar=torch.tensor(3.5, dtype=torch.float64),
        empty=torch.zeros(0, 3),
        half=torch.ones(2, dtype=torch.float16),
        whole=torch.tensor([2**40, -1]),
        ints=torch.tensor([1, -2], dtype=torch.int32),
        small=torch.tensor([-3], dtype=torch.int8),
        short=torch.tensor([300], dtype=torch.int16),
        bytes=torch.tensor([0, 255], dtype=torch.uint8),
        flags=torch.tensor([True, False]),
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", [dict, OrderedDict])
def test_saved_tensors_read_back_equal(protocol, kind):
    expected = kind(tensors())
    found = _state_dicts.read(saved(expected, pickle_protocol=protocol), "here")
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())
        assert found[name].dtype == tensor.numpy().dtype


def test_module_states_with_metadata_and_many_entries_read_back_equal():
    module = nn.Sequential(*[nn.Linear(2, 2) for _ in range(300)])
    found = _state_dicts.read(saved(module.state_dict()), "here")
    assert len(found) == 600
    for name, tensor in module.state_dict().items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


class Evil:
    """Runs a command where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


class Fires:
    """Sets state on an object where it is unpickled."""

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("was unpickled")

    def __getstate__(self) -> Any:
        return {"x": 1}


def refused(state: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _state_dicts.read(state if isinstance(state, bytes) else saved(state), "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("place", ["value", "key's neighbour", "whole", "attribute"])
def test_malicious_pickles_are_refused_and_not_run(place, tmp_path):
    marker = tmp_path / "ran"
    states: dict[str, Any] = {
        "value": {"a": Evil(marker)},
        "key's neighbour": {"a": torch.zeros(1), "b": [Evil(marker)]},
        "whole": Evil(marker),
        "attribute": OrderedDict(a=torch.zeros(1)),
    }
    state = states[place]
    if place == "attribute":
        state._metadata = Evil(marker)
    refused(state, r"not a plain state dict \((it asks for '(posix|nt).system'|opcode EMPTY_LIST)")
    assert not marker.exists()
    torch.load(io.BytesIO(saved(Evil(marker))), weights_only=False)  # the pickle is a live one
    assert marker.exists()


def test_objects_and_odd_values_are_refused():
    refused({"a": Fires()}, "it asks for '.*Fires'")
    refused(nn.Linear(1, 1), "it asks for 'torch.nn.modules.linear.Linear'")
    refused({"a": 3}, "its entry 'a' is a int, expected a tensor")
    refused({"a": {"b": torch.zeros(1)}}, "its entry 'a' is a dict")
    refused({1: torch.zeros(1)}, "a key that is a int")
    refused({(1, 2): torch.zeros(1)}, "a key that is a tuple")
    refused({}, "it holds a dict, expected names and tensors")
    refused(torch.zeros(2), "it holds a tensor")
    refused({"a": torch.zeros(1).to(torch.bfloat16)}, "it asks for 'torch.BFloat16Storage'")
    refused({"a": nn.Parameter(torch.zeros(1))}, "it asks for 'torch._utils._rebuild_parameter'")


def repacked(change: Callable[[dict[str, bytes]], Any], state: Any = None) -> bytes:
    """Return a state dict's zip with altered members."""
    members = {}
    with zipfile.ZipFile(io.BytesIO(saved(state or {"a": torch.zeros(4)}))) as archive:
        for name in archive.namelist():
            members[name] = archive.read(name)
    change(members)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def with_pickle(data: bytes) -> bytes:
    return repacked(lambda members: members.update({"archive/data.pkl": data}))


def patched(old: bytes, new: bytes) -> bytes:
    def change(members: dict[str, bytes]) -> None:
        assert members["archive/data.pkl"].count(old) == 1
        members["archive/data.pkl"] = members["archive/data.pkl"].replace(old, new)

    return repacked(change)


def test_damaged_files_are_refused():
    whole = saved({"a": torch.zeros(4)})
    refused(whole[:-30], "not a whole zip .*fetch it again")
    refused(b"hello", "expected PyTorch's zip format")
    flipped = bytearray(whole)
    flipped[whole.index(b"data.pkl") + 80] ^= 255
    refused(bytes(flipped), "not a whole zip")
    refused(repacked(lambda members: members.pop("archive/data.pkl")), "expected one data.pkl, found 0")
    refused(repacked(lambda members: members.update({"x/data.pkl": b""})), "expected one data.pkl, found 2")
    refused(
        repacked(lambda members: members.pop("archive/data/0")),
        "expected 16 bytes in archive/data/0, found None",
    )
    refused(
        repacked(lambda members: members.update({"archive/data/0": b"123"})), "expected 16 bytes .* found 3"
    )
    refused(repacked(lambda members: members.update({"archive/byteorder": b"big"})), "little-endian")
    refused(with_pickle(b""), "damaged pickle")
    refused(with_pickle(pickle.dumps([1])), "opcode EMPTY_LIST")
    refused(with_pickle(b"\x80\x02u."), "damaged pickle")
    refused(with_pickle(b"\x80\x02}}."), "damaged pickle")


def test_shapes_beyond_the_storage_are_refused():
    refused(patched(b"K\x04\x85", b"K\x05\x85"), r"a: \[5\] lies beyond its 4 numbers")
    refused(patched(b"K\x01\x85", b"K\x09\x85"), r"a: \[4\] lies beyond its 4 numbers")
    refused(patched(b"K\x01\x85", b"J\xff\xff\xff\xff\x85"), "a call of torch._utils._rebuild_tensor_v2")
    refused(patched(b"K\x01\x85", b")"), "a call of torch._utils._rebuild_tensor_v2")


def test_pickles_that_exhaust_are_refused():
    refused(with_pickle(b"\x80\x02" + b")" + b"\x85" * 30_000 + b"."), "it holds a tuple")
    refused(with_pickle(b"\x80\x02}" + b")" + b"\x85" * 30_000 + b"K\x01s."), "a key that is a tuple")
    refused(with_pickle(b"\x80\x02)" + b"\x85" * 30_000 + b"Q."), "a persistent id")
    refused(with_pickle(b"0" * (_state_dicts.PICKLE_BYTES + 1)), "far more than a network's")


def test_views_that_blow_up_are_refused(monkeypatch):
    monkeypatch.setattr(_state_dicts, "TENSOR_BYTES", 2**16)
    base = torch.zeros(2**12)  # 16 kB, four times seen
    assert len(_state_dicts.read(saved({str(k): base[: 2**12] for k in range(4)}), "here")) == 4
    refused({str(k): base[: 2**12] for k in range(5)}, "tensors of 81,920 bytes, far more than a network's")
    refused({"a": torch.zeros(2**16)}, "far more than a network's")
    refused({"a": torch.zeros(1).expand(2**20)}, "(far more|lies beyond)")


def test_the_format_before_the_zip_is_refused_with_advice():
    legacy = saved({"a": torch.zeros(1)}, _use_new_zipfile_serialization=False)
    refused(
        legacy, r"expected PyTorch's zip format; if a PyTorch before 1.6 wrote it, load it where you trust it"
    )


def test_every_damaged_byte_is_read_or_refused():
    """A changed byte gives a state dict or one line, never another error."""
    whole = bytearray(saved({"network.0.weight": torch.arange(3.0)}))
    rng = np.random.default_rng(0)
    for _ in range(600):
        data = bytearray(whole)
        data[rng.integers(len(data))] = rng.integers(256)
        try:
            _state_dicts.read(bytes(data), "here")
        except InputError:
            continue
    with zipfile.ZipFile(io.BytesIO(bytes(whole))) as archive:
        original = archive.read("archive/data.pkl")
    for place in range(len(original)):
        for value in (46, 82, 255):
            altered = original[:place] + bytes([value]) + original[place + 1 :]
            try:
                _state_dicts.read(with_pickle(altered), "here")
            except InputError:
                continue


# --- files


def test_sb3_zips_that_are_not_are_refused(tmp_path, sb3_file):
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


def test_an_sb3_zip_with_a_malicious_policy_or_data_is_not_run(tmp_path, sb3_file):
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


# --- the life that is played


@pytest.fixture
def minatar_file(tmp_path) -> Path:
    torch.manual_seed(3)
    path: Path = tmp_path / "dqn.cleanrl_model"
    torch.save(MinAtarNetwork().state_dict(), path)
    return path


def test_the_life_is_the_greedy_players_and_replays(minatar_file, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["histories", "import", "cleanrl", str(minatar_file), "--game", "minatar/breakout"]
    assert cli.main([*command, "--out", str(out), "--moves", "700"]) == 0
    shown = capsys.readouterr()
    for line in ("no learning history", "its skill here is not its published one", "never a ruler"):
        assert line in shown.err
    assert "no teacher, no ruler" in shown.out
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


def test_an_interrupted_life_goes_on_to_the_same_bytes(minatar_file, tmp_path):
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
    with pytest.raises(InputError, match=r"another life was begun here \(450 moves, not 300"):
        play(tmp_path / "stopped", moves=300)
    with pytest.raises(InputError, match=r"another life was begun here \(player"):
        fixed_player.play(MINATAR, parameters, {"importer": "z"}, ("y",), tmp_path / "stopped", 600)
    assert play(tmp_path / "stopped").read_bytes() == whole.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        play(tmp_path / "stopped")


def test_atari_plays_too(cleanrl_file, tmp_path):
    parameters = policies.policy("cleanrl").load(cleanrl_file, BREAKOUT)
    path = fixed_player.play(BREAKOUT, parameters, {"importer": "x"}, policies.LACKS, tmp_path, 60)
    history = history_format.read(path)
    assert set(history.action.tolist()) <= set(LEGAL.tolist())
    replay.verify(history, processes=1)
