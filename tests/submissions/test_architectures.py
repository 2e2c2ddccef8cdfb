"""Architectures that do not come with the package: found where they are installed, by name and version."""

from __future__ import annotations

import json
import sys

import pytest
from support import rows

from understudy import cli
from understudy.submissions import architectures, submission_format
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.harness import work

SOURCE = '''
import torch
from torch import nn

import understudy
from understudy.suite.protocols import Timestep


class Echo(nn.Module):
    """Prefers the action before, as strongly as it was trained to."""

    reach_moves = 1

    def __init__(self, game, strength):
        super().__init__()
        self.table = nn.Parameter(torch.randn(game.num_actions, game.num_actions) * strength)

    def initial_state(self, batch_size):
        return {"age": self.table.new_zeros(batch_size)}

    @torch.no_grad()
    def step(self, timestep, state):
        return self.table[timestep.previous_action], {"age": state["age"] + 1}

    def unroll(self, timesteps, state):
        return self.table[timesteps.previous_action], {"age": state["age"] + timesteps.first.shape[1]}


ECHO = understudy.ModuleArchitecture("echo", Echo, strength=0.5)
NAMED_BC = understudy.ModuleArchitecture("bc", Echo, strength=0.5)
NAMED_BADLY = understudy.ModuleArchitecture("My Echo", Echo, strength=0.5)
NUMBER = 3


class Strange:
    config = build = print

    @property
    def name(self):
        raise RuntimeError("not now")


STRANGE = Strange()


class Wrong(Echo):
    def step(self, timestep, state):
        return self.table @ timestep.previous_reward, state


class NoUnroll(nn.Module):
    def __init__(self, game, width):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(game.num_actions))

    initial_state = Echo.initial_state
    step = Echo.step
    reach_moves = 1


class TrainsNot(Echo):
    def unroll(self, timesteps, state):
        if torch.is_grad_enabled():
            raise IndexError("index 9 is out of bounds")
        return super().unroll(timesteps, state)


WRONG = understudy.ModuleArchitecture("wrong", Wrong, strength=0.5)
NO_UNROLL = understudy.ModuleArchitecture("no-unroll", NoUnroll, width=1)
SIZED = understudy.ModuleArchitecture("sized", lambda game, width: nn.LSTM(4, width), width=1)
TRAINS_NOT = understudy.ModuleArchitecture("trains-not", TrainsNot, strength=0.5)
'''
SIZES = ("--updates", "2", "--set", "window_moves=16", "--set", "batch_size=2")


def install(folder, version="0.3.1", entry_points="[understudy.architectures]\necho = mylab.echo:ECHO\n"):
    """Put a package into a folder as pip does, with these files of metadata."""
    package = folder / "mylab"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "echo.py").write_text(SOURCE)
    (package / "exits.py").write_text("raise SystemExit(0)\n")
    (package / "broken.py").write_text("raise RuntimeError('no licence')\n")
    for old in folder.glob("My_Lab-*.dist-info/*"):
        old.unlink()
    metadata = folder / f"My_Lab-{version}.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: My_Lab\nVersion: {version}\n")
    (metadata / "top_level.txt").write_text("mylab\n")
    (metadata / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def mylab(tmp_path, monkeypatch):
    """The package `My_Lab`, installed."""
    folder = tmp_path / "site"
    install(folder)
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "mylab"]:
        del sys.modules[name]


@pytest.fixture
def trained(mylab, here, capsys):
    """A submission of the package's architecture."""
    assert cli.main(["train", "echo", "--benchmark", "darkroom-v1", "--out", "mine", *SIZES]) == 0
    capsys.readouterr()
    return here / "mine"


@pytest.mark.usefixtures("mylab")
def test_an_installed_package_is_found_by_entry_point_and_by_object():
    assert "echo" in architectures.names()
    for reference in ("echo", "mylab.echo:ECHO"):
        found = architectures.find(reference)
        assert found.architecture.name == "echo"
        assert found.code is not None
        assert found.code.model_dump() == {
            "object": "mylab.echo:ECHO",
            "package": "My_Lab",
            "version": "0.3.1",
        }
    assert architectures.find("bc").code is None


def test_an_object_that_no_package_offers_is_not_trained(mylab, here, capsys):
    install(mylab, entry_points="")
    assert cli.main(["train", "mylab.echo:ECHO", "--benchmark", "darkroom-v1", "--out", "mine", *SIZES]) == 2
    assert "offers as an entry point" in capsys.readouterr().err


@pytest.mark.usefixtures("mylab")
@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("ehco", "did you mean 'echo'?"),
        ("random", "is a control and is not trained"),
        ("mylab.echo", "unknown architecture (of this and of installed packages)"),
        ("mylab.echo:", "expected an architecture as package.module:OBJECT"),
        ("mylab.echo:os.system", "expected an architecture as package.module:OBJECT"),
        ("mylab.echo:NONE", "has no attribute 'NONE'"),
        ("mylab.echo:NUMBER", "found a int without name"),
        ("mylab.echo:Echo", "found the class Echo"),
        ("mylab.echo:NAMED_BC", "found 'bc', which this package has"),
        ("mylab.echo:NAMED_BADLY", "found 'My Echo'"),
        ("mylab.broken:ECHO", "importing it fails: RuntimeError: no licence"),
        ("mylab.exits:ECHO", "importing it fails: SystemExit: 0"),
        ("mylab.echo:STRANGE", "importing it fails: RuntimeError: not now"),
        ("no_such_package.x:Y", "importing it fails: ModuleNotFoundError"),
    ],
)
def test_what_is_no_architecture_is_one_line(reference, said, here, capsys):
    assert cli.main(["train", reference, "--benchmark", "darkroom-v1", "--out", "mine", *SIZES]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert not (here / "mine").exists()


@pytest.mark.usefixtures("mylab", "here")
@pytest.mark.parametrize(
    ("reference", "settings", "said"),
    [
        (
            "WRONG",
            (),
            "fails (echo.py, line 48: return self.table @ timestep.previous_reward, state): RuntimeError",
        ),
        ("NO_UNROLL", (), "'unroll'"),
        ("SIZED", ("--set", "width=0"), "sized(width=0) fails"),
    ],
)
def test_an_error_of_a_users_code_is_the_users(reference, settings, said, capsys):
    assert cli.main(["check", "--architecture", f"mylab.echo:{reference}", *settings]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "a bug of ours" not in shown


@pytest.mark.usefixtures("here")
def test_an_error_of_a_users_code_in_training_is_the_users(mylab, capsys):
    install(mylab, entry_points="[understudy.architectures]\ntrains-not = mylab.echo:TRAINS_NOT\n")
    command = ["train", "mylab.echo:TRAINS_NOT", "--benchmark", "darkroom-v1", "--out", "mine", *SIZES]
    assert cli.main(command) == 2
    shown = capsys.readouterr().err
    assert "trains-not fails (echo.py, line" in shown
    assert "IndexError: index 9 is out of bounds" in shown


def test_code_of_no_package_is_checked_but_not_trained(here, capsys, monkeypatch):
    (here / "loose.py").write_text(SOURCE)
    assert cli.main(["check", "--architecture", "loose:ECHO"]) == 0
    assert "echo: passes the conformance kit" in capsys.readouterr().out
    assert cli.main(["train", "loose:ECHO", "--benchmark", "darkroom-v1", "--out", "mine", *SIZES]) == 2
    assert "offers as an entry point" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "loose")


def test_a_submission_names_package_and_version(trained, capsys):
    declared = json.loads((trained / "submission.json").read_text())
    assert declared["architecture"] == "echo"
    assert declared["custom_code"] == {"object": "mylab.echo:ECHO", "package": "My_Lab", "version": "0.3.1"}
    assert cli.main(["check", str(trained)]) == 0, capsys.readouterr().err


def test_a_row_of_custom_code_says_so(trained, here):
    row = rows.requested(str(trained), here / "results")
    assert work.row_file(row)[1]["custom_code"]["package"] == "My_Lab"
    (planned,) = row.jobs("start")
    assert planned.job.versions["My_Lab"] == "0.3.1"


def test_a_declaration_counts_its_code(trained):
    before = submission_format.declaration_hash(submission_format.read(trained))
    path = trained / "submission.json"
    path.write_text(path.read_text().replace("0.3.1", "0.3.2"))
    assert submission_format.declaration_hash(submission_format.read(trained)) != before


def test_a_submission_of_this_package_has_no_such_key(here):
    assert cli.main(["train", "bc", "--benchmark", "darkroom-v1", "--out", "mine", *SIZES]) == 0
    assert "custom_code" not in json.loads((here / "mine" / "submission.json").read_text())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "0.4"}, "found version 0.3.1; install the declared one"),
        (
            {"package": "elsewhere"},
            "not installed here; if you trust it, get that version from its author",
        ),
        ({"package": "numpy", "version": None}, "by which it says what may be run; found it is not"),
        ({"object": "mylab.echo:NAMED_BC"}, "by which it says what may be run; found it is not"),
        ({"object": "os:system"}, "by which it says what may be run; found it is not"),
        ({"object": "os"}, "custom_code.object"),
    ],
)
def test_other_code_than_declared_is_never_run(trained, change, said, capsys):
    import numpy

    path = trained / "submission.json"
    declared = json.loads(path.read_text())
    declared["custom_code"] |= {key: value or numpy.__version__ for key, value in change.items()}
    path.write_text(json.dumps(declared))
    assert cli.main(["check", str(trained)]) == 2
    assert said in capsys.readouterr().err


def test_an_object_that_has_another_name_now_is_refused(trained, mylab):
    benchmarks.load("darkroom-v1")
    code = submission_format.read(trained).declaration.custom_code
    with pytest.raises(InputError, match="is named 'echo'"):
        architectures.load("another", code)


def test_a_row_of_custom_code_is_marked_and_verified_without_its_package(trained, mylab, here, capsys):
    command = ["score", str(trained), "--benchmark", "darkroom-v1", "--task", "skill", "--out", "results"]
    assert cli.main(command) == 0
    assert "custom code: mylab.echo:ECHO of My_Lab 0.3.1: not ranked" in capsys.readouterr().out
    for file in mylab.glob("*.dist-info/*"):
        file.unlink()
    assert cli.main(["verify", "results"]) == 1  # a partial row
    said = capsys.readouterr()
    assert "mine: replayed, 16 runs" in said.out
    assert "improvement and transfer not played" in said.err
    assert cli.main([*command[:-1], "elsewhere"]) == 2
    assert "is custom code of the package My_Lab 0.3.1, which is not installed" in capsys.readouterr().err
    assert not (here / "elsewhere").exists()
    assert cli.main(["rescore", "results"]) == 0


def test_a_stranger_submission_imports_nothing_from_the_working_folder(trained, here, monkeypatch, capsys):
    """A namespace package of a distribution is found in every folder of the path, also in this one."""
    for name in ("mpl_toolkits", "mylab"):
        (trained / name).mkdir()
        (trained / name / "evil.py").write_text(f"open({str(here / 'ran')!r}, 'w')\n")
    monkeypatch.chdir(trained)
    path = trained / "submission.json"
    declared = json.loads(path.read_text())
    for reference, package in (("mpl_toolkits.evil:X", "matplotlib"), ("mylab.evil:X", "My_Lab")):
        version = architectures._version(package)
        declared["custom_code"] = {"object": reference, "package": package, "version": version}
        path.write_text(json.dumps(declared))
        for command in (["check", "."], ["score", ".", "--benchmark", "darkroom-v1", "--out", "results"]):
            assert cli.main(command) == 2
            assert "by which it says what may be run" in capsys.readouterr().err
    assert not (here / "ran").exists()
