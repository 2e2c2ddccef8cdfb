"""What a name stands for: a control, an entry, a submission's folder, or nothing that is known."""

import pickle
import shutil

import pytest
from support import rows
from support.sound_submissions import WATCHED

from understudy import cli
from understudy.baselines import controls
from understudy.submissions import resolution
from understudy.suite import benchmarks, reserved_names
from understudy.suite.errors import InputError
from understudy.suite.io import files

pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize(("name", "decoding"), [("random", "sample"), ("frozen-teacher", "greedy")])
def test_controls_have_names_and_no_folder(name, decoding):
    entry = rows.entry(name)
    assert (entry.name, entry.decoding, entry.priming_moves, entry.folder) == (name, decoding, 0, None)
    assert entry.is_control
    (player,) = entry.players
    assert player.teachers == WATCHED
    assert rows.entry(name).identity == entry.identity
    assert resolution.find(name, "darkroom-v1") is None


def test_an_entry_is_a_value_that_any_process_can_be_sent(make_submission):
    for name in (str(make_submission()), "random"):
        entry = rows.entry(name)
        assert pickle.loads(pickle.dumps(entry)) == entry == rows.entry(name)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("randm", "unknown submission for darkroom-v1 'randm'; did you mean 'random'?"),
        ("no/such/folder", "no/such/folder: expected a submission's folder, found none there"),
        ("hf://user", "hf://user: expected user/repo in letters"),
        (".", "submission.json: expected a file, found nothing there"),
    ],
)
def test_unknown_names(name, line, capsys):
    assert cli.main(["check", name, "--benchmark", "darkroom-v1"]) == 2
    assert line in capsys.readouterr().err


def test_a_bare_name_is_an_entry(make_submission, here, monkeypatch):
    shutil.copytree(make_submission(), here / "entries" / "darkroom-v1" / "ours")
    monkeypatch.setattr(resolution, "ENTRIES", here / "entries")
    assert resolution.entries("darkroom-v1") == ("ours",)
    assert rows.entry("ours").folder == here / "entries" / "darkroom-v1" / "ours"
    assert cli.main(["check", "ours"]) == 0
    with pytest.raises(InputError, match="unknown submission for minatar-v1"):
        rows.entry("ours", "minatar-v1")


OURS = (*controls.names(), *(name for each in benchmarks.names() for name in resolution.entries(each)))


@pytest.mark.parametrize("name", [*dict.fromkeys(OURS), "teacher"])
def test_a_submission_may_not_have_a_name_of_ours(make_submission, name, capsys):
    """Its row would be taken for a control's, an entry's or the reference's."""
    folder = make_submission()
    path = folder / "submission.json"
    files.write_json(path, {**files.read_json(path), "name": name})
    line = f"{path}: expected a name of its own; found {name!r}, which is the name of "
    for command in ("check", "score"):
        out = ["--out", str(folder / "out")] if command == "score" else []
        assert cli.main([command, str(folder), "--benchmark", "darkroom-v1", *out]) == 2
        shown = capsys.readouterr().err
        assert line in shown
        assert shown.rstrip().endswith("; change name in submission.json")
    assert not (folder / "out").exists()


def test_a_checkpoint_may_not_be_called_as_those_of_controls(make_submission):
    folder = make_submission()
    path = folder / "submission.json"
    declared = files.read_json(path)
    declared["checkpoints"][0]["folder"] = "control"
    files.write_json(path, declared)
    (folder / "all").rename(folder / "control")
    with pytest.raises(InputError, match="expected a checkpoint folder of another name; found 'control'"):
        rows.entry(str(folder))


def test_a_name_of_ours_is_refused_before_anything_is_trained(here, capsys):
    command = ["train", "bc", "--benchmark", "darkroom-v1", "--out", str(here / "random")]
    assert cli.main(command) == 2
    assert "found 'random', which is the name of a control; give another --name" in capsys.readouterr().err
    assert not (here / "random").exists()


@pytest.mark.parametrize(("before", "now"), [("markov", "bc"), ("policy-at-w", "frozen-teacher")])
def test_an_earlier_name_points_to_the_one_of_now(before, now, here, capsys):
    line = f"understudy: {before!r} is called {now!r} now; give that name\n"
    assert cli.main(["score", before, "--benchmark", "darkroom-v1", "--out", str(here / "out")]) == 2
    assert capsys.readouterr().err == line
    assert cli.main(["check", before]) == 2
    assert capsys.readouterr().err == line


def test_every_control_is_known_by_its_name_alone():
    """Stored rows are read without importing a control."""
    assert all(map(reserved_names.is_control, controls.names()))
    others = ("bc", "randomly", "random-forest", "injected-most", "teacher", "mine", "frozen")
    assert not any(map(reserved_names.is_control, others))
