"""Players on devices: names, copies up and down, what is refused; without a GPU on cpu and meta."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from support import darkroom_jobs, rows
from support.cuda import needs_cuda
from torch.utils._python_dispatch import TorchDispatchMode

from understudy import cli
from understudy.leaderboard import verification
from understudy.submissions import scoring
from understudy.suite import devices
from understudy.suite.errors import InputError, MachineError
from understudy.suite.harness import jobs, records, rollout, row_files, states, transfers, work
from understudy.suite.harness.player_checks import PlayerChecks, PlayerRefused
from understudy.suite.harness.row_player import RowPlayer
from understudy.suite.histories import history_format
from understudy.suite.io import file_names, files
from understudy.suite.protocols import Timestep

META = torch.device("meta")
without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@pytest.mark.parametrize(
    ("name", "device_type"),
    [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:0", "cuda"), ("cuda:12", "cuda"), ("mps", "mps")],
)
def test_a_device_has_a_type(name, device_type):
    assert devices.type_of(name) == device_type


@pytest.mark.parametrize(
    "name", ["CUDA", "cuda:x", "cuda:", "cuda:-1", "cuda:²", "cuda:N", "cpu:0", "mps:0", "gpu", "meta", ""]
)
def test_an_unknown_device_is_one_line_with_all_that_are_known(name):
    with pytest.raises(InputError) as caught:
        devices.require(name)
    expected = f"unknown device {name!r}; known: cpu, cuda, cuda:N, mps, N a number from 0 on"
    assert str(caught.value) == expected


def with_cuda(monkeypatch, built, count):
    monkeypatch.setattr(torch.version, "cuda", "12.8" if built else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(
    ("name", "built", "count", "message"),
    [
        ("cuda", False, 0, "this torch .* is built without CUDA; install one with it .* or use --device cpu"),
        ("cuda:1", True, 0, "--device cuda:1: torch finds no CUDA device here; see nvidia-smi"),
        ("cuda:1", True, 1, "--device cuda:1: no such device here; found cuda:0$"),
        ("cuda:7", True, 4, "no such device here; found cuda:0 to cuda:3$"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(name, built, count, message, monkeypatch):
    with_cuda(monkeypatch, built, count)
    with pytest.raises(InputError, match=message):
        devices.require(name)


def test_a_device_that_is_there_is_taken(monkeypatch):
    with_cuda(monkeypatch, True, 2)
    assert [devices.require(name) for name in ("cuda", "cuda:0", "cuda:1", "cpu")][-1] == "cpu"


@without_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:3", "tpu"])
@pytest.mark.parametrize(
    "command",
    [
        ("score", "random", "--benchmark", "darkroom-v1"),
        ("controls", "--benchmark", "darkroom-v1"),
        ("references", "darkroom-v1"),
    ],
)
def test_commands_refuse_it_before_anything_is_written(command, device, tmp_path, capsys):
    assert cli.main([*command, "--out", str(tmp_path / "out"), "--device", device]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert device in line
    assert not (tmp_path / "out").exists()


def test_computing_on_a_device_is_repeatable_and_puts_the_settings_back(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    tf32 = torch.backends.cudnn.allow_tf32
    with devices.computing("cpu"):
        assert not torch.are_deterministic_algorithms_enabled()
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with devices.computing("cuda"):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert not torch.backends.cudnn.allow_tf32
        assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.deterministic
        assert not torch.backends.cudnn.benchmark
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.allow_tf32 == tf32


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (
            RuntimeError("cumsum_cuda does not have a deterministic implementation, but you set\n'torch.use"),
            InputError,
            "--device cuda: the player uses cumsum_cuda, whose results differ from run to run there",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"), MachineError, "fewer --num-envs"),
        (RuntimeError("something else"), RuntimeError, "something else"),
    ],
)
def test_what_a_device_cannot_do_is_one_line(error, raised, message):
    with pytest.raises(raised, match=message) as caught, devices.computing("cuda"):
        raise error
    assert "\n" not in str(caught.value)
    assert not torch.are_deterministic_algorithms_enabled()


class Copies(TorchDispatchMode):
    """Counts copies between devices."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += "copy" in function.name()
        return function(*args, **(kwargs or {}))


def arrays(shape, dtype, lanes=3):
    """A move's arrays, of sizes that fill no whole word."""
    rng = np.random.default_rng(0)
    return (
        rng.integers(0, 2, (lanes, *shape)).astype(dtype),
        rng.integers(0, 5, lanes),
        rng.normal(size=lanes).astype(np.float32),
        rng.random(lanes) < 0.5,
        rng.random(lanes) < 0.5,
    )


OBSERVATIONS = [((), "int64"), ((4, 10, 10), "bool"), ((4, 84, 84), "uint8"), ((1, 3, 5), "bool")]
LEGAL = np.array([[True, False, True]] * 3)


@pytest.mark.parametrize(("shape", "dtype"), OBSERVATIONS)
def test_a_move_goes_up_in_one_copy_with_every_dtype_and_shape(shape, dtype):
    given = arrays(shape, dtype)
    up = transfers.up(LEGAL, META)
    up.timestep(*given)
    with Copies() as copies:
        timestep = up.timestep(*given)
    assert copies.count == 1
    plain = transfers.up(LEGAL, transfers.CPU).timestep(*given)
    for name, there, here in zip(Timestep._fields, timestep, plain, strict=True):
        assert (there.device, there.dtype, there.shape) == (META, here.dtype, here.shape), name
        assert there.is_contiguous(), name


@pytest.mark.parametrize(("shape", "dtype"), OBSERVATIONS)
def test_the_fields_side_by_side_hold_what_was_given(shape, dtype):
    up = transfers.TimestepsToDevice(LEGAL, torch.device("cpu"))  # in the place of a device
    for lanes in (3, 2):  # other arrays are laid out anew
        given = arrays(shape, dtype, lanes)
        seen, legal, *others = up.timestep(*given)
        assert legal.numpy().tolist() == LEGAL.tolist()
        for found, expected in zip((seen, *others), given, strict=True):
            assert np.array_equal(found.numpy(), expected)
            assert found.numpy().dtype == expected.dtype
            assert found.data_ptr() % found.element_size() == 0


def test_on_the_cpu_nothing_is_copied():
    given = arrays((4, 10, 10), "bool")
    with Copies() as copies:
        timestep = transfers.up(LEGAL, transfers.CPU).timestep(*given)
    assert copies.count == 0
    assert timestep.observation.data_ptr() == given[0].ctypes.data
    assert transfers.down((3, 3), transfers.CPU) is torch.Tensor.numpy
    assert transfers.timesteps_to(timestep, transfers.CPU) is timestep


def test_many_moves_go_up_contiguous():
    whole = Timestep(*(torch.zeros(3, 7, 2).transpose(0, 1) for _ in Timestep._fields))
    there = transfers.timesteps_to(whole, META)
    assert all(field.device == META and field[0].is_contiguous() for field in there)


def test_logits_come_down_into_one_buffer_in_their_form_alone():
    down = transfers.LogitsToHost((2, 3), torch.device("cpu"))
    logits = torch.arange(6.0).view(2, 3)
    found = down(logits)
    assert found.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert down(logits + 1) is not None
    assert found.tolist() == [[1, 2, 3], [4, 5, 6]]  # valid until the next call
    for other in (logits.double(), logits[:1], logits.to("meta")):
        with pytest.raises(ValueError, match="another form"):
            down(other)


def checks_on(device, state):
    return PlayerChecks("spy/seed-0", ["lane 0", "lane 1"], 3, state, device=device)


def test_logits_and_state_must_be_on_the_players_device():
    state = {"age": torch.zeros(2, dtype=torch.int64, device="meta")}
    checks = checks_on(META, state)
    expected = (
        r"move 5: expected logits float32 \[2, 3\] on meta; found float32 \[2, 3\] on cpu; .*own device"
    )
    with pytest.raises(PlayerRefused, match=expected):
        checks.step((torch.zeros(2, 3), state), 5)
    with pytest.raises(
        PlayerRefused, match=r"\[2, \.\.\.\] on meta without gradient .*found int64 \[2\] on cpu"
    ):
        checks_on(META, {"age": torch.zeros(2, dtype=torch.int64)})
    with pytest.raises(PlayerRefused, match=r"found float32 \[2\] on meta"):
        checks_on(transfers.CPU, {"age": torch.zeros(2, device="meta")})


def test_rows_of_a_state_are_taken_and_restored_on_its_device():
    state = {
        "age": torch.zeros(4, dtype=torch.int64, device="meta"),
        "seen": torch.zeros(4, 2, device="meta"),
    }
    taken = states.take(state, [2, 0])
    assert {name: (each.device, tuple(each.shape)) for name, each in taken.items()} == {
        "age": (META, (2,)),
        "seen": (META, (2, 2)),
    }


def test_a_state_is_saved_from_and_loaded_to_a_device(tmp_path):
    states.save({"a": torch.arange(6).view(2, 3).t()}, tmp_path / "state.safetensors")
    assert states.load(tmp_path / "state.safetensors")["a"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert states.load(tmp_path / "state.safetensors", META)["a"].device == META


def test_the_type_of_the_device_is_in_the_job_and_its_number_is_not(tmp_path):
    row = rows.requested("random", tmp_path)
    planned = jobs.plan(row.entry, row.benchmark, "quick", "start", device="cuda:1")[0]
    assert (planned.device, planned.job.device, planned.job.spec()["device"]) == ("cuda:1", "cuda", "cuda")
    usual = jobs.plan(row.entry, row.benchmark, "quick", "start")[0]
    assert (usual.device, usual.job.spec()) == ("cpu", {**planned.job.spec(), "device": "cpu"})


def test_runs_of_another_device_are_another_job(tmp_path):
    job = darkroom_jobs.job()
    from understudy.baselines.controls.random import Random

    darkroom_jobs.play(Random(5), tmp_path, job)
    with pytest.raises(InputError, match=r"device.*--device.*another --out, or --restart") as caught:
        rollout.refuse_other_job(replace(job, device="cuda"), tmp_path)
    assert "'cuda'" in str(caught.value)
    assert "'cpu'" in str(caught.value)


def test_runs_are_checked_on_the_type_of_device_that_played_them(copied, monkeypatch):
    row = rows.requested("frozen-teacher", copied)
    elsewhere = replace(row, request=replace(row.request, device="mps"))
    with pytest.raises(
        InputError, match=r"played on cpu, and checked there, .*found --device mps; give --device cpu"
    ):
        RowPlayer(elsewhere, lambda progress: None).recheck("start")


def test_what_a_row_is_compared_with_stays_on_the_device_that_played_it(copied, tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "_require_cuda", lambda name: None)
    monkeypatch.setattr(devices, "moved", lambda player, name: player)

    def planned_devices(out):
        row = rows.requested("open-loop-replay", out, device="cuda:1")
        items = scoring.plan([row], ["improvement"]).items
        return {item.row.entry.name: item.row.request.device for item in items}

    asked = {"open-loop-replay": "cuda:1"}
    assert planned_devices(tmp_path / "new") == asked | {"frozen-teacher": "cuda:1", "random": "cuda:1"}
    assert planned_devices(copied) == asked | {"frozen-teacher": "cpu", "random": "cpu"}


def logs_of(row):
    paths = row_files.find(row.folder, f"*/*/*/{file_names.HISTORY}")
    return {str(path.inner): history_format.read(path) for path in paths}


@needs_cuda
@pytest.mark.parametrize("name", ["bc", "transformer", "frozen-teacher", "sandbagger"])
def test_a_row_on_cuda_repeats_to_the_byte_and_plays_as_on_the_cpu(name, tmp_path):
    """Where the moves part, as at a near-tie, what follows is another run; its first part is the same."""
    played = {}
    for what, device in (("cpu", "cpu"), ("cuda", "cuda"), ("again", "cuda:0")):
        row = rows.requested(name, tmp_path / what, device=device)
        rows.score(row)
        played[what] = logs_of(row)
    assert played["cuda"]
    same = [
        log.content_sha256 == played["again"][path].content_sha256 for path, log in played["cuda"].items()
    ]
    assert all(same)
    parted = [
        int((log.action != played["cpu"][path].action).argmax())
        for path, log in played["cuda"].items()
        if not np.array_equal(log.action, played["cpu"][path].action)
    ]
    assert len(parted) <= 0.1 * len(played["cuda"]), f"runs that part, at the moves {parted}"
    assert {log.header.run["job"]["device"] for log in played["cuda"].values()} == {"cuda"}


@needs_cuda
def test_rechecks_isolation_and_verification_hold_on_cuda(tmp_path):
    row = rows.requested("transformer", tmp_path, device="cuda")
    rows.score(row, ["improvement"])
    for what in (work.ISOLATION, work.RECHECK):
        scoring.check([row], what)
    for check in records.CHECKS:
        found = [files.read_json(path) for path in tmp_path.rglob(check)]
        found += [json_of(path) for path in row_files.find(row.folder, f"*/*/{check}")]
        assert found
        assert all(each["holds"] for each in found)
    verification.require(verification.verify(tmp_path, processes=1))


def json_of(path):
    import json

    return json.loads(path.read_bytes())


@needs_cuda
def test_an_interrupted_job_goes_on_on_cuda(tmp_path):
    from understudy import baselines
    from understudy.suite import games

    game, architecture = games.load("darkroom/goal-00"), baselines.load("transformer")
    player = architecture.build(architecture.config(game, **architecture.small), game).eval().to("cuda")
    device, job = devices.torch_device("cuda"), darkroom_jobs.job(device="cuda", kind="start", moves=700)

    def play(folder, report=lambda done, total: None):
        with devices.computing("cuda"):
            start = rollout.empty_start_state(player, len(job.lanes), device)
            folders = rollout.play(job, player, lambda: start, folder, report)
        return [history_format.read(path / file_names.HISTORY).content_sha256 for path in folders]

    def interrupt(done, total):
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(tmp_path / "stopped", interrupt)
    assert play(tmp_path / "stopped") == play(tmp_path / "whole")
