"""What a name stands for: a control, an entry, a submission's folder, or nothing that is known."""

import pickle
import shutil

import pytest
from support import rows
from support.sound_submissions import WATCHED

from understudy import cli
from understudy.submissions import resolution
from understudy.suite.errors import InputError

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
        ("hf://user/repo@0", "hf:// cannot be fetched yet"),
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
