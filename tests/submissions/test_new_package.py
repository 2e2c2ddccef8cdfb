"""`understudy submissions new` writes a package that works as it is: checked, trained, accepted."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest

from understudy import cli


@pytest.fixture
def package(here, capsys):
    """A new package, in its folder."""
    assert cli.main(["submissions", "new", "--architecture", "deep-gru", "--out", "mine"]) == 0
    assert "pip install -e mine" in capsys.readouterr().out
    return here / "mine"


def test_names_are_those_that_were_asked_for(package):
    found = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    assert found == {"README.md", "pyproject.toml", "deep_gru/__init__.py", "tests/test_deep_gru.py"}
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["name"] == "deep-gru"
    assert project["entry-points"]["understudy.architectures"] == {"deep-gru": "deep_gru:ARCHITECTURE"}
    for path in package.rglob("*.*"):
        if path.is_file():
            assert not {"my-lstm", "my_lstm", "MyLSTM"} & set(path.read_text().replace('"', " ").split())


def test_it_works_where_it_is_installed(package, monkeypatch):
    """Installed as pip does it, without its index: a folder of metadata beside the module."""
    metadata = package / "deep_gru-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: deep-gru\nVersion: 0.1.0\n")
    points = "[understudy.architectures]\ndeep-gru = deep_gru:ARCHITECTURE\n"
    (metadata / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(package))
    small = ("--set", "width=8")
    assert cli.main(["check", "--architecture", "deep-gru", *small]) == 0
    sizes = ("--updates", "2", "--set", "window_moves=16", "--set", "batch_size=2", *small)
    assert cli.main(["train", "deep-gru", "--benchmark", "darkroom-v1", "--out", "trained", *sizes]) == 0
    assert cli.main(["check", "trained"]) == 0
    del sys.modules["deep_gru"]


def test_a_name_like_the_templates_is_replaced_once(here):
    assert cli.main(["submissions", "new", "--architecture", "my-lstm2", "--out", "mine"]) == 0
    text = (here / "mine" / "my_lstm2" / "__init__.py").read_text()
    assert 'ModuleArchitecture("my-lstm2", MyLstm2, width=128)' in text


@pytest.mark.long
def test_its_own_tests_pass(package):
    own = {**os.environ, "PYTHONPATH": str(package)}
    subprocess.run([sys.executable, "-m", "pytest", "-q", "."], cwd=package, check=True, env=own)


@pytest.mark.parametrize(
    "name",
    [
        "bc",
        "random",
        "My-LSTM",
        "a.b",
        "1st",
        "",
        "-x",
        "a/b",
        "a--b",
        "my_gru",
        "class",
        "torch",
        "json",
        "understudy",
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name, here, capsys):
    assert cli.main(["submissions", "new", f"--architecture={name}", "--out", "mine"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (here / "mine").exists()


def test_nothing_is_written_beside_other_files(here, capsys):
    (here / "mine").mkdir()
    (here / "mine" / "notes.txt").write_text("mine")
    assert cli.main(["submissions", "new", "--architecture", "deep-gru", "--out", "mine"]) == 2
    assert "expected an empty folder" in capsys.readouterr().err
    assert [path.name for path in (here / "mine").iterdir()] == ["notes.txt"]
