"""What a name stands for: a control, an entry, a submission's folder, or nothing that is known."""

import shutil

import pytest

from understudy import cli
from understudy.submissions import entrants
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.testing.sound_submissions import WATCHED

BENCHMARK = benchmarks.load("darkroom-v1")

pytestmark = pytest.mark.usefixtures("here")


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


def test_a_bare_name_is_an_entry(make_submission, here, monkeypatch):
    shutil.copytree(make_submission(), here / "entries" / "darkroom-v1" / "ours")
    monkeypatch.setattr(entrants, "ENTRIES", here / "entries")
    assert entrants.entries("darkroom-v1") == ("ours",)
    assert entrants.resolve("ours", "darkroom-v1").folder == here / "entries" / "darkroom-v1" / "ours"
    assert cli.main(["check", "ours"]) == 0
    with pytest.raises(InputError, match="unknown submission for minatar-v1"):
        entrants.resolve("ours", "minatar-v1")
