"""Submissions: what is written is read back, and what a stranger sends is refused in one line or is safe."""

import hashlib
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from understudy import baselines, cli
from understudy.submissions import entrants, loading, training, watched
from understudy.submissions import format as submissions
from understudy.submissions.format import Config
from understudy.suite import benchmarks, games
from understudy.suite.errors import InputError
from understudy.suite.histories import format as histories
from understudy.suite.histories.format import Header
from understudy.suite.histories.record import Life, Recorder, SegmentRule
from understudy.suite.testing import imitators

DOCUMENT = Path(__file__).parent.parent / "docs" / "submission-format.md"
BENCHMARK = benchmarks.load("darkroom-v1")
W = BENCHMARK.watched_moves
WATCHED = ("goal-00/seed-0", "goal-01/seed-0")
NEW = "goal-02/seed-0"
SIZES = {
    "markov": {"width": 2},
    "transformer": {"layers": 1, "context_moves": 8, "width": 8, "heads": 1},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with random darkroom lives: two to watch (one is longer than W), one new."""
    root = tmp_path_factory.mktemp("data")
    for name, moves in zip((*WATCHED, NEW), (W + 100, 600, 600), strict=True):
        record(root / BENCHMARK.name / name / "history.parquet", f"darkroom/{name.partition('/')[0]}", moves)
    return root


def record(path: Path, game_name: str, moves: int) -> None:
    path.parent.mkdir(parents=True)
    game = games.load(game_name)
    player = {"kind": "teacher", "seed": 0}
    header = Header(game.name, dict(game.fingerprint), player, {"kind": "test"}, (), {})
    recorder = Recorder([Life(path, game, 7, header)], SegmentRule(500))
    recorder.start()
    rng = np.random.default_rng(len(game_name) + moves)
    for _ in range(moves):
        recorder.step(rng.integers(game.num_actions, size=1), rng.random(1) < 0.5)
    recorder.finish()


@pytest.fixture(autouse=True)
def here(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of the test's own, on the data above, with a cache that lasts."""
    monkeypatch.setenv("UNDERSTUDY_DATA", str(data))
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(data.parent / "cache"))
    temporary = data.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def entries(data: Path, *names: str) -> list[dict[str, Any]]:
    """Return the true entries of `watched.histories`; hashed here by hand."""
    found = []
    for name in names:
        history = histories.read(data / BENCHMARK.name / name / "history.parquet")
        moves = min(W, history.num_moves)
        digest = hashlib.sha256(json.dumps([history.header.game, moves], separators=(",", ":")).encode())
        for column, kind in (("action", "u1"), ("reward", "<f4")):
            digest.update(f"\n{column} {kind}\n".encode() + getattr(history, column)[:moves].tobytes())
        for column in ("terminated", "truncated", "explored"):
            digest.update(f"\n{column} ?\n".encode() + getattr(history, column)[:moves].tobytes())
        found.append({"name": name, "moves": moves, "sha256": digest.hexdigest()})
    return found


def declaration(data: Path, architecture: str) -> dict[str, Any]:
    return {
        "format": 1,
        "name": "mine",
        "benchmark": "darkroom-v1",
        "architecture": architecture,
        "decoding": "greedy",
        "track": "frozen",
        "priming_moves": 8,
        "watched": {"mode": "multi", "histories": entries(data, *WATCHED)},
        "checkpoints": [{"folder": "all", "teacher": None, "training_seed": 3}],
    }


@pytest.fixture
def make(data: Path, here: Path) -> Callable[[str], Path]:
    """Return a function that writes a sound submission of an architecture, by plain JSON and safetensors."""

    def write(architecture: str = "markov") -> Path:
        folder = here / "mine"
        (folder / "all").mkdir(parents=True)
        model, config = module(architecture)
        (folder / "submission.json").write_text(json.dumps(declaration(data, architecture)))
        parameters = {"architecture": architecture, "family": "darkroom", "parameters": config}
        (folder / "all" / "config.json").write_text(json.dumps(parameters))
        safetensors.torch.save_file(model.state_dict(), folder / "all" / "model.safetensors")
        return folder

    return write


def module(architecture: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    registered = baselines.load_architecture(architecture)
    game = games.load("darkroom/goal-00")
    config = registered.config(game, **SIZES[architecture])
    return registered.build(config, game, seed=3), config


def resolved(folder: Path) -> entrants.Entrant:
    return entrants.resolve(str(folder), "darkroom-v1")


def content(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder with its bytes; links and pipes by kind."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        if path.is_file() and path.stat().st_size < 1e8
        else b"?"
        for path in folder.rglob("*")
        if not path.is_dir()
    }


# What is sound


@pytest.mark.parametrize("architecture", sorted(SIZES))
def test_a_checkpoint_plays_as_what_was_saved(make, architecture):
    entrant = resolved(make(architecture))
    (player,) = entrant.players(BENCHMARK, benchmarks.teacher_lives(BENCHMARK))
    assert (player.checkpoint, player.training_seed, player.teachers) == ("all", 3, WATCHED)
    loaded: Any = player.load([], False, 1, lambda done, total: None)
    saved: Any = module(architecture)[0]
    timesteps = imitators.random_timesteps(games.load("darkroom/goal-00"), 2, 20, seed=1)
    with torch.no_grad():
        found, _ = loaded.unroll(timesteps, loaded.initial_state(2))
        expected, _ = saved.unroll(timesteps, saved.initial_state(2))
    assert torch.equal(found, expected)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_the_hash_is_the_documented_one_and_covers_every_file_but_the_card(make):
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    documented: dict[str, Any] = {}
    exec(code, documented)
    folder = make()
    expected = documented["submission_hash"](folder)
    (folder / "README.md").write_text("a card")
    assert submissions.submission_hash(folder) == expected == resolved(folder).sha256
    with (folder / "all" / "config.json").open("a") as file:
        file.write(" ")
    assert submissions.submission_hash(folder) != expected


def test_what_is_written_is_read_back(data, here):
    model, config = module("markov")
    declared = submissions.declare(json.loads(json.dumps(declaration(data, "markov")), object_hook=tupled))
    weights = loading.weights_bytes(model)
    made = Config(architecture="markov", family="darkroom", parameters=config)
    written = submissions.write(here / "written", declared, {"all": (made, weights)})
    assert written.declaration == declared
    assert submissions.read(here / "written") == written
    assert (here / "written" / "all" / "model.safetensors").read_bytes() == weights
    again = submissions.write(here / "again", declared, {"all": (made, weights)})
    assert again.sha256 == written.sha256


def tupled(found: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


@pytest.mark.parametrize("architecture", sorted(SIZES))
def test_check_accepts_and_writes_nothing(make, here, capsys, architecture):
    folder = make(architecture)
    (folder / "notes.txt").write_text("x")
    before = content(here)
    assert cli.main(["check", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "mine: would be accepted for darkroom-v1" in shown
    assert f"{W + 600:,} moves of 2 lives" in shown
    assert "warning: notes.txt is not part of the submission" in shown
    assert shown.count("warning") == 1
    assert content(here) == before


def test_a_life_that_is_not_here_is_a_warning(make, capsys, data, here, monkeypatch):
    folder = make()
    only = here / "data" / "darkroom-v1" / "goal-00"
    shutil.copytree(data / "darkroom-v1" / "goal-00", only)
    monkeypatch.setenv("UNDERSTUDY_DATA", str(here / "data"))
    assert cli.main(["check", str(folder)]) == 0
    assert "warning: watched life goal-01/seed-0 is not on this machine" in capsys.readouterr().out
    with pytest.raises(InputError, match="teacher goal-01/seed-0 is not on this machine"):
        resolved(folder).players(BENCHMARK, benchmarks.teacher_lives(BENCHMARK))


def test_watched_lives_are_read_once_however_many_jobs_ask(make, monkeypatch):
    entrant, lives = resolved(make()), benchmarks.teacher_lives(BENCHMARK)
    first = entrant.players(BENCHMARK, lives)
    monkeypatch.setattr(histories, "read", lambda path: pytest.fail(f"{path} is read again"))
    monkeypatch.setattr(watched, "sha256", lambda *_: pytest.fail("a watched life is hashed again"))
    assert [player.sha256 for player in entrant.players(BENCHMARK, lives)] == [
        player.sha256 for player in first
    ]


def test_the_watched_hash_outlives_the_continuation(data):
    history = histories.read(data / "darkroom-v1" / WATCHED[0] / "history.parquet")
    assert history.num_moves > W
    (expected,) = entries(data, WATCHED[0])
    assert watched.declared(WATCHED[0], history, W).model_dump() == expected
    changed = history.action.copy()
    changed[W] ^= 1
    assert watched.sha256(replace(history, action=changed), W) == expected["sha256"]
    changed[W - 1] ^= 1
    assert watched.sha256(replace(history, action=changed), W) != expected["sha256"]


# What is not


def declare(key: str, value: Any) -> Callable[[Path], None]:
    """Return a fault: a value of submission.json, at a dotted path, set to something else."""
    return lambda folder: _set(folder / "submission.json", key, value)


def configure(key: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: _set(folder / "all" / "config.json", key, value)


def _set(path: Path, key: str, value: Any) -> None:
    document = json.loads(path.read_text())
    *way, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    inner = document
    for part in way:
        inner = inner[part]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(document))


MISSING = object()


def put(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def reweigh(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Return a fault: the weights, changed."""

    def fault(folder: Path) -> None:
        path = folder / "all" / "model.safetensors"
        tensors = safetensors.torch.load(path.read_bytes())
        change(tensors)
        path.write_bytes(safetensors.torch.save(tensors))

    return fault


def link(name: str) -> Callable[[Path], None]:
    """Return a fault: a file or folder of the submission is a symbolic link to the real one elsewhere."""

    def fault(folder: Path) -> None:
        shutil.move(folder / name, folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return fault


def sparse(name: str, size_bytes: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size_bytes)


def cut(name: str, size_bytes: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, (folder / name).stat().st_size - size_bytes)


def pipe(folder: Path) -> None:
    (folder / "all" / "model.safetensors").unlink()
    os.mkfifo(folder / "all" / "model.safetensors")


def fill(value: float) -> Callable[[dict[str, torch.Tensor]], Any]:
    return lambda tensors: tensors["decide.3.weight"].view(-1)[1:2].fill_(value)


WEIGHTS = "all/model.safetensors"
BIAS = "decide.3.bias"
FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing weight": (
        reweigh(lambda t: t.pop(BIAS)),
        f"{WEIGHTS}: {BIAS}: expected float32 [5], found no such",
    ),
    "extra weight": (
        reweigh(lambda t: t.update(more=torch.zeros(2, 3))),
        f"{WEIGHTS}: more: expected no such tensor, found float32 [2, 3]",
    ),
    "wrong shape": (
        reweigh(lambda t: t.update({BIAS: torch.zeros(1, 5)})),
        f"{WEIGHTS}: {BIAS}: expected float32 [5], found float32 [1, 5]",
    ),
    "wrong dtype": (
        reweigh(lambda t: t.update({BIAS: torch.zeros(5, dtype=torch.float16)})),
        f"{WEIGHTS}: {BIAS}: expected float32 [5], found float16 [5]",
    ),
    "nan": (reweigh(fill(float("nan"))), "decide.3.weight: expected finite numbers, found 1 of 10"),
    "infinity": (reweigh(fill(float("-inf"))), "decide.3.weight: expected finite numbers, found 1 of 10"),
    "overflow": (
        reweigh(lambda t: [tensor.fill_(3e38) for tensor in t.values()]),
        "all: imitator: step returned logits that are not finite",
    ),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), f"{WEIGHTS}: expected a file, found nothing"),
    "cut weights": (cut(WEIGHTS, 4), f"{WEIGHTS}: not a whole safetensors file"),
    "empty weights": (put(WEIGHTS, b""), f"{WEIGHTS}: not a whole safetensors file"),
    "lying header": (put(WEIGHTS, b"\xff" * 8 + b"{}"), f"{WEIGHTS}: not a whole safetensors file"),
    "unknown dtype": (
        put(
            WEIGHTS, (54).to_bytes(8, "little") + b'{"a":{"dtype":"F9","shape":[1],"data_offsets":[0,1]}}  x'
        ),
        f"{WEIGHTS}: not a whole safetensors file",
    ),
    "dtype that torch lacks": (
        put(
            WEIGHTS, (55).to_bytes(8, "little") + b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}   x'
        ),
        f"{WEIGHTS}: not a whole safetensors file",
    ),
    "huge weights": (sparse(WEIGHTS, 3 << 30), f"{WEIGHTS}: expected at most 2,147,483,648 bytes, found 3,2"),
    "weights are a link": (link(WEIGHTS), f"{WEIGHTS}: expected a regular file, found a symbolic link"),
    "weights are a pipe": (pipe, f"{WEIGHTS}: expected a regular file, found a device or pipe"),
    "config is a link": (
        link("all/config.json"),
        "all/config.json: expected a regular file, found a symbolic",
    ),
    "checkpoint is a link": (link("all"), "all: expected a folder, found a symbolic link"),
    "declaration is a link": (
        link("submission.json"),
        "submission.json: expected a regular file, found a symb",
    ),
    "no checkpoint": (
        lambda folder: shutil.rmtree(folder / "all"),
        "all: expected a folder, found nothing there",
    ),
    "no declaration": (
        lambda folder: (folder / "submission.json").unlink(),
        "submission.json: expected a file, found nothing there",
    ),
    "huge declaration": (
        sparse("submission.json", 2 << 20),
        "submission.json: expected at most 1,048,576 bytes",
    ),
    "huge config": (sparse("all/config.json", 1 << 20), "all/config.json: expected at most 65,536 bytes"),
    "broken JSON": (put("submission.json", b'{"format": 1,'), "submission.json: not readable JSON"),
    "not text": (put("submission.json", b"\xff\xfe"), "submission.json: not readable JSON"),
    "deep JSON": (put("all/config.json", b"[" * 60_000), "all/config.json: not readable JSON"),
    "another kind of JSON": (put("submission.json", b"[]"), "submission.json: "),
    "future format": (declare("format", 2), "submission format 2, this version reads 1; update understudy"),
    "unknown key": (declare("architectur", "x"), "unknown key 'architectur'; did you mean 'architecture'?"),
    "unknown inner key": (declare("watched.code", "x"), "unknown key 'watched.code'; remove it"),
    "missing key": (declare("decoding", MISSING), "expected the key 'decoding', found none"),
    "text for a number": (
        declare("priming_moves", "8"),
        "priming_moves: Input should be a valid integer; found '8'",
    ),
    "unknown decoding": (
        declare("decoding", "beam"),
        "decoding: Input should be 'greedy' or 'sample'; found 'beam'",
    ),
    "negative priming": (
        declare("priming_moves", -1),
        "priming_moves: Input should be greater than or equal to 0",
    ),
    "priming beyond what was watched": (
        declare("priming_moves", 601),
        "at most the 600 watched moves of goal-01",
    ),
    "folder above": (declare("checkpoints.0.folder", "../all"), "checkpoints.0.folder: String should match"),
    "folder elsewhere": (
        declare("checkpoints.0.folder", "/tmp"),
        "checkpoints.0.folder: String should match",
    ),
    "hidden folder": (declare("checkpoints.0.folder", ".."), "checkpoints.0.folder: String should match"),
    "name with a separator": (declare("name", "a/b"), "name: String should match"),
    "no checkpoints": (declare("checkpoints", []), "checkpoints: Tuple should have at least 1 item"),
    "a folder twice": (
        declare(
            "checkpoints", [{"folder": "all", "teacher": None, "training_seed": seed} for seed in (0, 1)]
        ),
        "checkpoints.folder: expected each once; found 'all' twice",
    ),
    "a teacher in mode multi": (
        declare("checkpoints.0.teacher", WATCHED[0]),
        "checkpoint all: teacher: expected null in mode multi; found 'goal-00/seed-0'",
    ),
    "no teacher in mode single": (
        declare("watched.mode", "single"),
        "checkpoint all: teacher: expected one of watched.histories; found None",
    ),
    "unknown architecture": (
        lambda folder: (
            declare("architecture", "markof")(folder),
            configure("architecture", "markof")(folder),
        ),
        "all/config.json: unknown architecture 'markof'; did you mean 'markov'?",
    ),
    "a control": (
        lambda folder: (
            declare("architecture", "random")(folder),
            configure("architecture", "random")(folder),
        ),
        "all/config.json: 'random' is a control",
    ),
    "a class path": (configure("architecture", "os.system"), "expected 'markov' as declared"),
    "other architecture": (configure("architecture", "transformer"), "expected 'markov' as declared"),
    "other family": (
        configure("family", "atari"),
        "all/config.json: family: expected 'darkroom', found 'atari'",
    ),
    "text in the config": (
        configure("parameters.width", "__import__('os')"),
        "all/config.json: parameters.width",
    ),
    "truth in the config": (configure("parameters.width", True), "all/config.json: parameters.width"),
    "infinite config": (configure("parameters.width", float("inf")), "all/config.json: parameters.width"),
    "unbounded config": (
        configure("parameters.width", 10**9),
        "all/config.json: markov: width must be a whole",
    ),
    "unknown setting": (
        configure("parameters.wdth", 2),
        "unknown setting of markov 'wdth'; did you mean 'width'?",
    ),
    "missing setting": (
        configure("parameters", {}),
        "all/config.json: markov: the setting 'width' is missing",
    ),
    "unknown benchmark": (declare("benchmark", "darkrom-v1"), "unknown benchmark 'darkrom-v1'; did you mean"),
    "a new game": (declare("watched.histories.0.name", NEW), "darkroom/goal-02 is a new game of darkroom-v1"),
    "no game of it": (
        declare("watched.histories.0.name", "goal-99/seed-0"),
        "unknown game of darkroom-v1 in",
    ),
    "a continuation": (
        declare("watched.histories.0.moves", W + 1),
        f"expected at most W = {W:,} moves, found {W + 1:,}",
    ),
    "other moves": (
        declare("watched.histories.0.moves", W - 1),
        f"goal-00/seed-0: its first {W - 1:,} moves have",
    ),
    "other data": (declare("watched.histories.1.sha256", "0" * 64), "found 000000000000 declared"),
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_bad_input_is_one_line_and_writes_nothing(make, here, capsys, fault):
    damage, line = FAULTS[fault]
    folder = make()
    damage(folder)
    before = content(here)
    assert cli.main(["check", str(folder)]) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert content(here) == before


def test_a_submission_for_another_benchmark(make, capsys):
    folder = make()
    assert cli.main(["check", str(folder), "--benchmark", "minatar-v1"]) == 2
    assert "this submission is for darkroom-v1, not for minatar-v1" in capsys.readouterr().err


def test_a_pickle_is_not_opened(make, here, capsys):
    class Trap:
        def __reduce__(self):
            return Path.touch, (here / "sprung",)

    folder = make()
    (folder / WEIGHTS).write_bytes(pickle.dumps(Trap()))
    assert cli.main(["check", str(folder)]) == 2
    assert "not a whole safetensors file" in capsys.readouterr().err
    assert not (here / "sprung").exists()


def test_a_state_beyond_the_cap_is_refused(make, capsys):
    folder = make("transformer")
    for name, value in (("layers", 64), ("context_moves", 1024), ("width", 64), ("heads", 4)):
        configure(f"parameters.{name}", value)(folder)
    assert cli.main(["check", str(folder)]) == 2
    size = 64 * 2 * 1024 * 64 * 4 + 8  # keys and values of each layer, 4 bytes a number, and the age
    assert (
        f"at most 16,777,216 bytes a life; these parameters make one of {size:,}" in capsys.readouterr().err
    )


@pytest.mark.skipif(not loading.STATM.exists(), reason="memory is bounded on Linux only")
def test_a_model_beyond_memory_is_refused_before_it_is_made(make, capsys, monkeypatch):
    monkeypatch.setattr(loading, "BUILD_BYTES", 1 << 26)
    folder = make("transformer")
    configure("parameters.context_moves", 65_536)(folder)
    configure("parameters.width", 1024)(folder)
    assert cli.main(["check", str(folder)]) == 2
    assert "expected a model that is made within 67,108,864 bytes" in capsys.readouterr().err


def test_weights_that_change_after_reading_are_refused(make):
    folder = make()
    entrant = resolved(folder)
    (player,) = entrant.players(BENCHMARK, benchmarks.teacher_lives(BENCHMARK))
    reweigh(lambda tensors: tensors[BIAS].add_(1))(folder)
    with pytest.raises(InputError, match="changed since the submission was read"):
        player.load([], False, 1, lambda done, total: None)


# Names


@pytest.mark.parametrize(("name", "decoding"), [("random", "sample"), ("policy-at-w", "greedy")])
def test_controls_have_names_and_no_folder(name, decoding):
    entrant = entrants.resolve(name, "darkroom-v1")
    assert (entrant.name, entrant.decoding, entrant.priming_moves, entrant.folder) == (
        name,
        decoding,
        0,
        None,
    )
    (player,) = entrant.players(BENCHMARK, benchmarks.teacher_lives(BENCHMARK))
    assert player.teachers == WATCHED
    assert entrants.resolve(name, "darkroom-v1").sha256 == entrant.sha256


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("randm", "unknown submission for darkroom-v1 'randm'; did you mean 'random'?"),
        ("no/such/folder", "no/such/folder: expected a submission's folder, found none there"),
        ("hf://user/repo@0", "hf:// can't be fetched yet"),
        (".", "submission.json: expected a file, found nothing there"),
    ],
)
def test_unknown_names(name, line, capsys):
    assert cli.main(["check", name, "--benchmark", "darkroom-v1"]) == 2
    assert line in capsys.readouterr().err


def test_a_bare_name_is_an_entry(make, here, monkeypatch):
    shutil.copytree(make(), here / "entries" / "darkroom-v1" / "ours")
    monkeypatch.setattr(entrants, "ENTRIES", here / "entries")
    assert entrants.entries("darkroom-v1") == ("ours",)
    assert entrants.resolve("ours", "darkroom-v1").folder == here / "entries" / "darkroom-v1" / "ours"
    assert cli.main(["check", "ours"]) == 0
    with pytest.raises(InputError, match="unknown submission for minatar-v1"):
        entrants.resolve("ours", "minatar-v1")


# Training


def train(out: str, *more: str) -> int:
    sizes = ("--set", "window_moves=32", "--set", "batch_size=2", "--set", "width=8")
    return cli.main(["train", "markov", "--benchmark", "darkroom-v1", "--out", out, *sizes, *more])


def test_train_writes_a_submission_that_check_accepts(data, here, capsys):
    assert train("mine", "--steps", "3") == 0
    shown = capsys.readouterr().out
    assert "nats, agreement" in shown
    assert "constant player" in shown
    declared = submissions.read(here / "mine").declaration
    assert [entry.model_dump() for entry in declared.watched.histories] == entries(data, *WATCHED)
    assert declared.watched.mode == "multi"
    assert declared.training is not None
    assert declared.training["steps"] == 3
    assert sorted(content(here)) == [
        "mine/all/config.json",
        "mine/all/model.safetensors",
        "mine/submission.json",
    ]
    assert cli.main(["check", "mine"]) == 0
    assert "warning" not in capsys.readouterr().out


def test_train_single_makes_a_checkpoint_a_life(here):
    assert train("mine", "--steps", "2", "--mode", "single", "--all") == 0
    checkpoints = submissions.read(here / "mine").declaration.checkpoints
    assert [(each.folder, each.teacher) for each in checkpoints] == [
        ("goal-00-seed-0", "goal-00/seed-0"),
        ("goal-01-seed-0", "goal-01/seed-0"),
    ]
    entrant = resolved(here / "mine")
    players = entrant.players(BENCHMARK, benchmarks.teacher_lives(BENCHMARK))
    assert [player.teachers for player in players] == [("goal-00/seed-0",), ("goal-01/seed-0",)]
    assert train("other", "--steps", "2", "--mode", "single", "--teacher", "goal-01/seed-0") == 0
    one, other = (here / name / "goal-01-seed-0" / "model.safetensors" for name in ("mine", "other"))
    assert one.read_bytes() == other.read_bytes(), "what else is trained beside it made a difference"


def test_train_goes_on_to_the_same_bytes(here, monkeypatch):
    assert train("whole", "--steps", "6", "--name", "mine") == 0
    monkeypatch.setattr(training, "SAVE_EVERY_STEPS", 2)

    def interrupt(what: str, done: int, total: int, note: str) -> None:
        if what == "all" and done == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("understudy.screen.Progress.report", lambda self, *found: interrupt(*found))
        assert train("mine", "--steps", "6") == 130
    assert [path.partition("-")[0] for path in content(here / "mine")] == ["all/training"]
    assert train("mine", "--steps", "6") == 0
    assert content(here / "mine") == content(here / "whole")


def test_train_again_is_done_and_never_overwrites(here, capsys):
    assert train("mine", "--steps", "2") == 0
    before = content(here)
    assert train("mine", "--steps", "2") == 0
    assert train("mine", "--steps", "3") == 2
    assert "holds a submission made with other settings or data" in capsys.readouterr().err
    assert content(here) == before


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--set", "widht=8"], "unknown setting of markov or its training 'widht'; did you mean 'width'?"),
        (["--set", "steps=3"], "--set steps: give it as --steps, and once"),
        (["--set", "seed=3"], "--set seed: give it as --seed, and once"),
        (["--set", "width"], "--set: expected KEY=NUMBER, e.g. layers=2; found 'width'"),
        (["--set", "width=nan"], "markov: width must be a whole number"),
        (["--teacher", NEW], "unknown life that darkroom-v1 may watch in mode multi: 'goal-02/seed-0'"),
        (["--mode", "singel"], "unknown mode 'singel'; did you mean 'single'?"),
        (["--name", "A B"], "name: String should match"),
        (["--priming", "601"], "at most the 600 watched moves of goal-01/seed-0"),
        (["--set", "window_moves=100000"], "choose shorter windows"),
        (["--all", "--teacher", WATCHED[0]], "give --all or --teacher, not both"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_train_refuses_before_it_writes(here, capsys, more, line):
    assert train("mine", "--steps", "2", *more) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert content(here) == {}
