"""Submissions: what is written is read back, plays as what was saved, and has the documented hash."""

import json
import re
import shutil
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
import torch
from support import ROOT, rows
from support.sound_submissions import SIZES, WATCHED, built, content, declaration, entries

from understudy import baselines, cli
from understudy.submissions import loading, submission_format, watched
from understudy.submissions.submission_format import Config
from understudy.suite import benchmarks, games
from understudy.suite.errors import InputError
from understudy.suite.harness.entry import PlayerRequest
from understudy.suite.histories import history_format, moves_hash
from understudy.suite.io import files
from understudy.suite.testing import imitator_checks

DOCUMENT = ROOT / "docs" / "submission-format.md"
BENCHMARK = benchmarks.load("darkroom-v1")
W = BENCHMARK.watched_moves

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize("architecture", sorted(SIZES))
def test_a_checkpoint_plays_as_what_was_saved(make_submission, architecture):
    (player,) = rows.entry(str(make_submission(architecture))).players
    assert (player.checkpoint, player.training_seed, player.teachers) == ("all", 3, WATCHED)
    loaded: Any = player.load(PlayerRequest((), on_new_games=False, run_moves=1))
    saved: Any = built(baselines.load(architecture))[0]
    timesteps = imitator_checks.random_timesteps(games.load("darkroom/goal-00"), 2, 20, seed=1)
    with torch.no_grad():
        found, _ = loaded.unroll(timesteps, loaded.initial_state(2))
        expected, _ = saved.unroll(timesteps, saved.initial_state(2))
    assert torch.equal(found, expected)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_the_identity_is_the_documented_one(make_submission):
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    documented: dict[str, Any] = {}
    exec(code, documented)
    folder = make_submission()
    expected = documented["identity"](folder)
    assert submission_format.read(folder).identity == expected == rows.entry(str(folder)).identity


def test_names_descriptions_and_files_bytes_are_no_part_of_the_identity(make_submission):
    folder = make_submission()
    before = submission_format.read(folder)
    (folder / "README.md").write_text("a card")
    with (folder / "all" / "config.json").open("a") as file:
        file.write(" ")
    weights = folder / "all" / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    reordered = dict(sorted(tensors.items(), reverse=True))
    safetensors.torch.save_file(reordered, weights, {"format": "pt", "note": "saved again"})
    (folder / "all").rename(folder / "final")
    path = folder / "submission.json"
    declared = files.read_json(path)
    declared["checkpoints"][0]["folder"] = "final"
    files.write_json(path, {**declared, "name": "other", "description": "anew", "decoding": "sample"})
    after = submission_format.read(folder)
    assert after.declaration != before.declaration
    assert after.identity == before.identity


def test_every_weight_and_setting_is_part_of_the_identity(make_submission):
    folder = make_submission()
    weights = folder / "all" / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    found = [submission_format.read(folder).identity]
    for name in tensors:
        changed = {**tensors, name: tensors[name] + 1e-6}
        safetensors.torch.save_file(changed, weights)
        found.append(submission_format.read(folder).identity)
    first, *others = tensors
    renamed = {f"{first}s": tensors[first], **{name: tensors[name] for name in others}}
    reshaped = {**tensors, first: tensors[first].reshape(-1, 1)}
    halved = {**tensors, first: tensors[first].half()}
    for changed in (renamed, reshaped, halved):
        safetensors.torch.save_file(changed, weights)
        found.append(submission_format.read(folder).identity)
    safetensors.torch.save_file(tensors, weights)
    config = files.read_json(folder / "all" / "config.json")
    (setting,) = config["parameters"]
    config["parameters"][setting] += 1
    files.write_json(folder / "all" / "config.json", config)
    found.append(submission_format.read(folder).identity)
    assert len(set(found)) == len(found)


def test_a_copy_of_a_checkpoint_is_refused(make_submission):
    folder = make_submission()
    shutil.copytree(folder / "all", folder / "again")
    path = folder / "submission.json"
    declared = files.read_json(path)
    declared["checkpoints"].append({**declared["checkpoints"][0], "folder": "again", "training_seed": 1})
    files.write_json(path, declared)
    with pytest.raises(InputError, match="'all' and 'again' hold the same weights and configuration"):
        submission_format.read(folder)


def test_what_is_written_is_read_back(data, here):
    model, config = built(baselines.load("bc"))
    declared = submission_format.declare(json.loads(json.dumps(declaration(data, "bc")), object_hook=tupled))
    weights = loading.weights_bytes(model)
    made = Config(architecture="bc", family="darkroom", parameters=config)
    written = submission_format.write(here / "written", declared, {"all": (made, weights)})
    assert written.declaration == declared
    assert submission_format.read(here / "written") == written
    assert (here / "written" / "all" / "model.safetensors").read_bytes() == weights
    again = submission_format.write(here / "again", declared, {"all": (made, weights)})
    assert again.identity == written.identity


def tupled(found: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


@pytest.mark.parametrize("architecture", sorted(SIZES))
def test_check_accepts_and_writes_nothing(make_submission, here, capsys, architecture):
    folder = make_submission(architecture)
    (folder / "notes.txt").write_text("x")
    before = content(here)
    assert cli.main(["check", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "mine: would be accepted for darkroom-v1" in shown
    assert f"{W + 600:,} moves of 2 runs" in shown
    assert "warning: notes.txt is not part of the submission" in shown
    assert shown.count("warning") == 1
    assert content(here) == before


def test_a_run_that_is_not_here_is_a_warning(make_submission, capsys, data, here, monkeypatch):
    folder = make_submission()
    only = here / "data" / "darkroom-v1" / "goal-00"
    shutil.copytree(data / "darkroom-v1" / "goal-00", only)
    shutil.copy(data / "darkroom-v1.data.json", here / "data")
    monkeypatch.setenv("UNDERSTUDY_DATA", str(here / "data"))
    assert cli.main(["check", str(folder)]) == 0
    assert "warning" not in capsys.readouterr().out  # the hash of a pinned run is known without its file
    path = folder / "submission.json"
    declared = files.read_json(path)
    more = {**declared["watched"]["histories"][0], "name": "goal-01/seed-9", "sha256": "9" * 64}
    declared["watched"]["histories"].append(more)
    files.write_json(path, declared)
    assert cli.main(["check", str(folder)]) == 0
    assert "warning: watched run goal-01/seed-9 is not on this machine" in capsys.readouterr().out
    with pytest.raises(InputError, match="teacher goal-01/seed-0 is not on this machine"):
        rows.entry(str(folder))


def test_watched_runs_are_read_once_however_often_an_entry_is_resolved(make_submission, monkeypatch):
    folder = str(make_submission())
    first = rows.entry(folder)
    monkeypatch.setattr(history_format, "read", lambda path: pytest.fail(f"{path} is read again"))
    monkeypatch.setattr(moves_hash, "sha256", lambda *_: pytest.fail("a watched run is hashed again"))
    assert rows.entry(folder) == first


def test_the_watched_hash_outlives_the_continuation(data):
    history = history_format.read(data / "darkroom-v1" / WATCHED[0] / "history.parquet")
    assert history.num_moves > W
    (expected,) = entries(data, WATCHED[0])
    assert watched.declared(WATCHED[0], history, W).model_dump() == expected
    changed = history.action.copy()
    changed[W] ^= 1
    assert moves_hash.sha256(replace(history, action=changed), W) == expected["sha256"]
    changed[W - 1] ^= 1
    assert moves_hash.sha256(replace(history, action=changed), W) != expected["sha256"]


def test_check_says_the_arithmetic_of_a_move(capsys):
    """Worked out for 2 layers of 16 units and a context of 6, two operations a product.

    A layer has 12 x 16^2 weights, and 6 keys and values of 16 units; besides, 3 x 16 and 16 x 5.
    """
    sizes = [part for each in ("layers=2", "context_moves=6", "width=16") for part in ("--set", each)]
    assert cli.main(["check", "--architecture", "transformer", "--benchmark", "darkroom-v1", *sizes]) == 0
    operations = 2 * (2 * (12 * 16**2 + 2 * 6 * 16) + 3 * 16 + 16 * 5)
    assert f"arithmetic of a move: {operations:,} floating-point operations" in capsys.readouterr().out
