"""Broken submissions: what a stranger sends is refused in one line or is safe."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from support import rows
from support.sound_submissions import NEW, WATCHED, content

from understudy import cli
from understudy.submissions import loading, submission_format
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.harness.entry import PlayerRequest

BENCHMARK = benchmarks.load("darkroom-v1")
W = BENCHMARK.watched_moves


def declare(key: str, value: Any) -> Callable[[Path], None]:
    """Return a fault: a value of submission.json, at a dotted path, set to something else."""
    return lambda folder: _set(folder / "submission.json", key, value)


def configure(key: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: _set(folder / "all" / "config.json", key, value)


def _set(path: Path, key: str, value: Any) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    *way, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    inner = document
    for part in way:
        inner = inner[part]
    if value is MISSING:
        del inner[last]
    else:
        inner[last] = value
    path.write_text(json.dumps(document), encoding="utf-8")


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


def relink(target: str) -> Callable[[Path], None]:
    """Return a fault: the weights are a symbolic link to this target."""

    def fault(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / WEIGHTS).symlink_to(target)

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


def rename(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], Any]:
    """Return a change of weights: names that begin with `old` begin with `new`."""

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(old)]:
            tensors[new + name.removeprefix(old)] = tensors.pop(name)

    return change


def twice(name: str, key: str) -> Callable[[Path], None]:
    """Return a fault: a JSON file has a key of its first level twice, first with another value."""

    def fault(folder: Path) -> None:
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("{", f'{{"{key}": "another", ', 1))

    return fault


WEIGHTS = "all/model.safetensors"


BIAS = "decide.3.bias"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"7" * 64 + b"\nsize 33214\n"


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
    "compiled": (
        reweigh(rename("", "_orig_mod.")),
        f"{WEIGHTS}: _orig_mod.decide.1.bias: expected 'decide.1.bias', found the prefix `_orig_mod.` of a "
        "compiled or data-parallel module; save `model._orig_mod.state_dict()`",
    ),
    "compiled and data-parallel": (
        reweigh(rename("", "module._orig_mod.")),
        "found the prefix `module._orig_mod.` of a compiled or data-parallel module; save "
        "`model.module._orig_mod.state_dict()`",
    ),
    "partly compiled": (
        reweigh(rename("decide.", "decide._orig_mod.")),
        f"{WEIGHTS}: decide._orig_mod.1.bias: expected 'decide.1.bias', found the prefix `_orig_mod.` of a "
        "compiled or data-parallel module; before saving, replace the model's `decide` by `decide._orig_mod`",
    ),
    "nan": (reweigh(fill(float("nan"))), "decide.3.weight: expected finite numbers, found 1 of 10"),
    "infinity": (reweigh(fill(float("-inf"))), "decide.3.weight: expected finite numbers, found 1 of 10"),
    "overflow": (
        reweigh(lambda t: [tensor.fill_(3e38) for tensor in t.values()]),
        "all: imitator: step returned logits that are not finite",
    ),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), f"{WEIGHTS}: expected a file, found nothing"),
    "pointer in place of weights": (
        put(WEIGHTS, POINTER),
        f"{WEIGHTS}: a Git LFS pointer, not the file: run git lfs pull",
    ),
    "pointer in place of the declaration": (
        put("submission.json", POINTER),
        "submission.json: a Git LFS pointer, not the file: run git lfs pull",
    ),
    "weights are a link to nothing": (
        relink("nothing"),
        f"{WEIGHTS}: expected a regular file, found a symbolic link",
    ),
    "weights are a link in a circle": (
        relink("model.safetensors"),
        f"{WEIGHTS}: expected a regular file, found a symbolic link",
    ),
    "training that no training takes": (
        declare("training", {"updates": 4, "lerning_rate": 0.1}),
        "training: unknown setting of training 'lerning_rate'; did you mean 'learning_rate'?; a yes needs",
    ),
    "a setting out of bounds": (
        declare("training", {"updates": 4, "last_moves": -1}),
        "0; found -1; a yes needs training anew by these settings",
    ),
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
    "unknown key without end": (
        declare("a" * 100_000, "x"),
        f"unknown key '{'a' * 120}... (100,000 characters)'",
    ),
    "unknown inner key": (declare("watched.code", "x"), "unknown key 'watched.code'; remove it"),
    "missing key": (declare("decoding", MISSING), "expected the key 'decoding', found none"),
    "text for a number": (
        declare("priming_moves", "8"),
        "priming_moves: expected a whole number; found '8'",
    ),
    "unknown decoding": (
        declare("decoding", "beam"),
        "decoding: Input should be 'greedy' or 'sample'; found 'beam'",
    ),
    "negative priming": (
        declare("priming_moves", -1),
        "priming_moves: expected at least 0; found -1",
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
    "a key twice": (twice("submission.json", "name"), "the key 'name' stands twice"),
    "a setting twice": (twice("all/config.json", "family"), "the key 'family' stands twice"),
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
            declare("architecture", "transformr")(folder),
            configure("architecture", "transformr")(folder),
        ),
        "all/config.json: unknown architecture 'transformr'; did you mean 'transformer'?",
    ),
    "a control": (
        lambda folder: (
            declare("architecture", "random")(folder),
            configure("architecture", "random")(folder),
        ),
        "all/config.json: 'random' is a control",
    ),
    "a class path": (configure("architecture", "os.system"), "expected 'bc' as declared"),
    "other architecture": (configure("architecture", "transformer"), "expected 'bc' as declared"),
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
        "all/config.json: bc: width: expected at most 4,096; found 1000000000",
    ),
    "unknown setting": (
        configure("parameters.wdth", 2),
        "unknown setting of bc 'wdth'; did you mean 'width'?",
    ),
    "missing setting": (
        configure("parameters", {}),
        "all/config.json: bc: expected the setting 'width', found none",
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
def test_bad_input_is_one_line_and_writes_nothing(make_submission, here, capsys, fault):
    damage, line = FAULTS[fault]
    folder = make_submission()
    damage(folder)
    before = content(here)
    assert cli.main(["check", str(folder)]) == 2
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert content(here) == before


def snapshot(folder: Path, cache: Path) -> Path:
    """Move a submission's files into the blobs of a Hub cache; return the snapshot of links to them."""
    repository = cache / "models--me--mine"
    linked = repository / "snapshots" / ("0123456789" * 4)
    (repository / "blobs").mkdir(parents=True)
    files = [path for path in folder.rglob("*") if path.is_file()]
    for number, path in enumerate(files):
        blob, link = repository / "blobs" / f"{number:040d}", linked / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, blob)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return linked


def test_a_snapshot_of_the_hubs_cache_is_the_same_submission(make_submission, here, capsys):
    folder = make_submission()
    plain = submission_format.read(folder)
    linked = snapshot(folder, here / "hub")
    assert submission_format.read(linked).identity == plain.identity
    assert cli.main(["check", str(linked)]) == 0
    assert plain.identity in capsys.readouterr().out


def test_a_link_within_the_submission_is_followed(make_submission):
    folder = make_submission()
    plain = submission_format.read(folder)
    shutil.move(folder / WEIGHTS, folder / "weights")
    (folder / WEIGHTS).symlink_to(Path("..", "weights"))
    assert submission_format.read(folder).identity == plain.identity


@pytest.mark.parametrize("place", ["models--other--one/blobs/secret", "models--me--mine/secret"])
def test_a_snapshots_link_that_leaves_its_blobs_is_refused(make_submission, here, capsys, place):
    linked = snapshot(make_submission(), here / "hub")
    secret = here / "hub" / place
    secret.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(linked / WEIGHTS, secret)
    (linked / WEIGHTS).unlink()
    (linked / WEIGHTS).symlink_to(secret)
    assert cli.main(["check", str(linked)]) == 2
    assert f"{WEIGHTS}: expected a regular file, found a symbolic link" in capsys.readouterr().err


def test_a_snapshots_link_to_a_pipe_is_refused(make_submission, here, capsys):
    linked = snapshot(make_submission(), here / "hub")
    blob = (linked / WEIGHTS).resolve()
    blob.unlink()
    os.mkfifo(blob)
    assert cli.main(["check", str(linked)]) == 2
    assert f"{WEIGHTS}: expected a regular file, found a device or pipe" in capsys.readouterr().err


def test_a_submission_for_another_benchmark(make_submission, capsys):
    folder = make_submission()
    assert cli.main(["check", str(folder), "--benchmark", "minatar-v1"]) == 2
    assert "this submission is for darkroom-v1, not for minatar-v1" in capsys.readouterr().err


def test_a_pickle_is_not_opened(make_submission, here, capsys):
    class Trap:
        def __reduce__(self):
            return Path.touch, (here / "sprung",)

    folder = make_submission()
    (folder / WEIGHTS).write_bytes(pickle.dumps(Trap()))
    assert cli.main(["check", str(folder)]) == 2
    assert "not a whole safetensors file" in capsys.readouterr().err
    assert not (here / "sprung").exists()


def test_a_state_beyond_the_cap_is_refused(make_submission, capsys):
    folder = make_submission("transformer")
    for name, value in (("layers", 64), ("context_moves", 1024), ("width", 64), ("heads", 4)):
        configure(f"parameters.{name}", value)(folder)
    assert cli.main(["check", str(folder)]) == 2
    size = 64 * 2 * 1024 * 64 * 4 + 8  # keys and values of each layer, 4 bytes a number, and the age
    assert f"at most 16,777,216 bytes a run; these parameters make one of {size:,}" in capsys.readouterr().err


@pytest.mark.skipif(not loading.STATM.exists(), reason="memory is bounded on Linux only")
def test_a_model_beyond_memory_is_refused_before_it_is_made(make_submission, capsys, monkeypatch):
    monkeypatch.setattr(loading, "BUILD_BYTES", 1 << 26)
    folder = make_submission("transformer")
    configure("parameters.context_moves", 65_536)(folder)
    configure("parameters.width", 1024)(folder)
    assert cli.main(["check", str(folder)]) == 2
    assert "expected a model that is built within 67,108,864 bytes" in capsys.readouterr().err


def test_weights_that_change_after_reading_are_refused(make_submission):
    folder = make_submission()
    (player,) = rows.entry(str(folder)).players
    reweigh(lambda tensors: tensors[BIAS].add_(1))(folder)
    with pytest.raises(InputError, match="changed since the submission was read"):
        player.load(PlayerRequest((), on_new_games=False, run_moves=1))
