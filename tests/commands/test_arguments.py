"""Paths given to commands: each goes through one of the parsers of `arguments`, which expand and check it."""

import os
import typing
from pathlib import Path

import pytest
import typer.main

from understudy import arguments, cli
from understudy.suite.benchmarks import data_folders
from understudy.suite.errors import InputError
from understudy.suite.hub import client, locations

# Arguments that may be a path or a name; those that are paths only have the type Path.
TEXTS = {
    "board film",
    "check submission",
    "cite name",
    "histories info paths",
    "histories list where",
    "histories verify paths",
    "histories watch named",
    "leaks submission",
    "rounds commit submissions",
    "verify recheck",
    "score submission",
}


def leaves(command, name=""):
    """Yield the name and object of each command that has no commands below it."""
    inner = getattr(command, "commands", None)
    if not inner:
        yield name, command
        return
    for word, each in inner.items():
        yield from leaves(each, f"{name} {word}".strip())


def parameters():
    """Yield the command, the parameter's name and type, and the parser that it has, if any."""
    root = typer.main.get_command(cli._application(cli.commands()))
    for name, command in leaves(root):
        hints = typing.get_type_hints(command.callback.__wrapped__, include_extras=True)
        for parameter, hint in hints.items():
            if parameter != "return":
                yield name, parameter, str(hint.__origin__), hint.__metadata__[0].parser


def test_every_path_of_every_command_is_expanded_and_checked():
    found = {"paths": 0, "texts": set()}
    for command, name, kind, parser in parameters():
        if "Path" in kind:
            found["paths"] += 1
            assert parser in (arguments.folder, arguments.file, arguments.path), f"{command}: {name}"
        elif parser is not None:
            assert parser is arguments.text, f"{command}: {name}"
            found["texts"].add(f"{command} {name}")
    assert found["texts"] == TEXTS
    assert found["paths"] >= 19


def refused(capsys, *given):
    """Return the one line with which a command refuses its arguments."""
    assert cli.main([str(each) for each in given]) == cli.BAD_INPUT
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def test_a_home_folder_is_expanded_where_no_shell_does_it(home, capsys):
    assert f"{home}/mine: no such folder" in refused(capsys, "board", "~/mine", "--out=~/site")
    assert f"{home}/mine" in refused(capsys, "check", "~/mine")
    assert f"{home}/mine" in refused(capsys, "histories", "info", "~/mine")
    assert f"{home}/mine" in refused(capsys, "histories", "list", "~/mine")


def test_a_name_that_begins_with_the_sign_of_home_can_be_given(home):
    assert arguments.folder("./~mine") == Path("~mine")
    assert arguments.text("./~mine") == "./~mine"
    assert arguments.text("hf://user/repo") == "hf://user/repo"
    assert arguments.text("bc") == "bc"


@pytest.mark.parametrize("command", [("rescore",), ("check",), ("histories", "verify"), ("verify",)])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "expected a path, found nothing"),
        ("  ", "expected a path, found only spaces"),
        ("~no-such-user/x", "found ~no-such-user/x, whose home folder this machine doesn't know"),
        ("a\0b", "found a NUL character in 'a\\x00b'"),
    ],
)
def test_what_can_be_no_path_is_refused(capsys, command, given, expected):
    line = refused(capsys, *command, given)
    assert line.startswith("understudy: Invalid value for ")
    assert expected in line


def test_a_place_of_another_kind_is_refused(home, capsys, monkeypatch):
    (home / "file").touch()
    (home / "lost").symlink_to("/not/mounted")
    monkeypatch.chdir(home)
    assert "': file: expected a folder, found a file" in refused(capsys, "rescore", "file")
    assert "'--out': file/x: lies below a file" in refused(capsys, "demo", "--out", "file/x")
    assert "a link to /not/mounted, which is not there" in refused(capsys, "demo", "--out", "lost")
    assert "too long a name" in refused(capsys, "demo", "--out", "x" * 300)
    assert "'--out': .: expected a file, found a folder" in refused(
        capsys, "histories", "watch", "file", "--out", "."
    )
    assert arguments.path("file") == Path("file")


@pytest.mark.parametrize("home_variable", ["", None])
def test_without_a_home_nothing_is_written_elsewhere(monkeypatch, capsys, home_variable):
    if home_variable is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("pwd.getpwuid", lambda number: (_ for _ in ()).throw(KeyError(number)))
    else:
        monkeypatch.setenv("HOME", home_variable)  # "~/x" would be "/x"
    assert "whose home folder this machine doesn't know" in refused(capsys, "rescore", "~/x")


@pytest.mark.parametrize("variable", ["UNDERSTUDY_DATA", "UNDERSTUDY_CACHE", "HF_HOME"])
def test_paths_of_the_environment_are_expanded_and_checked(home, monkeypatch, variable):
    from huggingface_hub import constants

    from understudy.suite.histories import frame_cache

    location = locations.parse("hf://datasets/user/repo@" + "0" * 40)

    def chosen(text):
        monkeypatch.setenv(variable, text)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", os.path.join(text, "hub"))
        return {
            "UNDERSTUDY_DATA": lambda: data_folders.roots()[0],
            "UNDERSTUDY_CACHE": frame_cache.folder,
            "HF_HOME": lambda: client.snapshot(location).parents[2].parent,
        }[variable]()

    assert chosen("~/place") == home / "place"
    with pytest.raises(
        InputError, match=rf"^{variable}: .*home folder this machine .*; set {variable} to an"
    ):
        chosen("~no-such-user/place")
