"""Every encoding of a terminal: the screen never fails for a character that it can't show."""

import ast
import os
import subprocess
import sys

import pytest
from support import ROOT

ODD = os.fsdecode("Größe-\N{GREEK SMALL LETTER PI}-\N{SNOWMAN}-".encode() + b"\xff")  # the end is not UTF-8

# Each command's help, a table, and an error that names a file whose name is not even UTF-8.
SHOW = """
import sys
from understudy import cli

def leaves():
    import typer.main
    for name in cli.commands():
        command = typer.main.get_command(cli._application([name]))
        for word, each in command.commands.items():
            yield from [(word, inner) for inner in getattr(each, "commands", ())] or [(word,)]

print(sys.getfilesystemencoding())
found = [*leaves()]
assert ("histories", "push") in found and ("score",) in found, found
for words in found:
    assert cli.main([*words, "--help"]) == 0, words
assert cli.main(["benchmarks", "darkroom-v1"]) == 0
assert cli.main(["histories", "info", sys.argv[1]]) == 2
assert cli.main(["histories", "list", sys.argv[2]]) == 2
"""

PLAIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENVIRONMENTS = {
    "C": {**PLAIN, "LC_ALL": "C"},
    "ascii": {**PLAIN, "PYTHONIOENCODING": "ascii"},
    "ascii:strict": {"PYTHONIOENCODING": "ascii:strict"},
    "cp1252": {**PLAIN, "PYTHONIOENCODING": "cp1252"},
    "utf-8": {"PYTHONUTF8": "1"},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_no_help_and_no_name_is_too_odd_for_an_encoding(tmp_path, name):
    folder = tmp_path / ODD
    folder.mkdir()
    encoding = ENVIRONMENTS[name].get("PYTHONIOENCODING", "ascii" if name == "C" else "utf-8").split(":")[0]
    ran = subprocess.run(
        [sys.executable, "-c", SHOW, str(folder / "none"), str(folder)],
        env={**os.environ, **ENVIRONMENTS[name]},
        cwd=tmp_path,
        capture_output=True,
        timeout=600,
    )
    assert ran.returncode == 0, ran.stderr.decode("utf-8", "replace")
    shown, said = ran.stdout.decode(encoding), ran.stderr.decode(encoding)
    assert "Usage: understudy score" in shown
    assert "darkroom" in shown
    name = os.fsencode(ODD).decode(shown.split()[0], "surrogateescape")  # as Python reads it there
    expected = name.encode(encoding, "backslashreplace").decode(encoding)
    assert said.replace("\n", "").count(expected) == 2
    assert len(said.splitlines()) == 2


OTHER_OPEN = ("os.open", "blosc2.", "av.", "Image.", "importer.", "trainer.")  # not of text files


def text_calls():
    """Yield file, line and source of each call that opens a file or a pipe as text."""
    for folder in ("suite", "baselines", "submissions", "leaderboard", "understudy", "docs"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and is_text(node):
                    yield path, node


def is_text(call):
    called, keywords = ast.unparse(call.func), {each.arg for each in call.keywords}
    name = called.rpartition(".")[2]
    if name in ("read_text", "write_text"):
        return True
    if called.startswith("subprocess."):
        return bool({"text", "universal_newlines", "encoding", "errors"} & keywords)
    if name not in ("open", "fdopen", "NamedTemporaryFile") or called.startswith(OTHER_OPEN):
        return False
    values = [each.value for each in [*call.args, *(each.value for each in call.keywords)] if is_string(each)]
    modes = [each for each in values if each and set(each) <= set("rwxabt+")]
    return any("b" not in mode for mode in modes) or (not modes and called != "tempfile.NamedTemporaryFile")


def is_string(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_text_file_states_its_encoding():
    calls = list(text_calls())
    assert len(calls) >= 6
    for path, call in calls:
        stated = [each.value for each in call.keywords if each.arg == "encoding"]
        assert [ast.unparse(each) for each in stated] == ["'utf-8'"], f"{path}:{call.lineno}"
