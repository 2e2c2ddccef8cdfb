"""What is shipped: packages, data, licences, and a README whose commands exist."""

import re
import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support import ROOT

import understudy
from understudy import cli
from understudy.leaderboard import controls_check
from understudy.submissions import new_package
from understudy.suite.protocols import Timestep

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTALLED = {"understudy", "suite", "baselines", "submissions", "leaderboard"}
MIB = 2**20
MAKE_TARGETS = {"demo", "test", "lowest", "check", "speed", "long", "docs"}


def size_bytes(*folders: str) -> int:
    files = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files)


def test_every_package_folder_is_listed_and_every_listed_one_exists():
    found = set()
    for top in INSTALLED:
        for marker in _modules(ROOT / top, "__init__.py"):
            parts = marker.parent.relative_to(ROOT).parts
            found.add(".".join(parts if top == "understudy" else ("understudy", *parts)))
    assert found == set(PROJECT["tool"]["setuptools"]["packages"])


def _modules(folder, pattern):
    """Yield the package's own files; those of the template of a user's package are data."""
    return (path for path in folder.rglob(pattern) if not path.is_relative_to(new_package.TEMPLATE))


def test_every_module_lies_in_a_package():
    for top in INSTALLED:
        for module in _modules(ROOT / top, "*.py"):
            assert (module.parent / "__init__.py").is_file(), f"{module} would be left out of the wheel"


def test_a_file_beside_the_modules_is_package_data():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    places = PROJECT["tool"]["setuptools"]["package-dir"]
    shipped: set[Path] = set()
    for package, globs in patterns.items():
        known = max((name for name in places if f"{package}.".startswith(f"{name}.")), key=len)
        folder = ROOT / places[known] / Path(*package.removeprefix(known).split("."))
        shipped.update(path for glob in globs for path in folder.glob(glob) if path.is_file())
    for top in INSTALLED:
        for path in (ROOT / top).rglob("*"):
            is_reference = re.search(r"/(frozen-teacher|random)/runs\.zip$", str(path))
            kept = path.name == controls_check.CONTROLS or is_reference
            stays = "results" in path.parts and not kept  # rows of a checkout
            if path.is_file() and path.suffix not in {".py", ".pyc"} and not stays:
                assert path in shipped, f"{path} would be left out of the wheel"


def test_embedded_data_is_small_and_holds_no_game_image():
    entries = 32 * MIB  # ten architectures on two benchmarks, and what watched each of eight teachers
    references = 36 * MIB  # every pinned run, so that an installed package gives a checkout's verdicts
    assert size_bytes("submissions/entries") <= entries
    assert size_bytes("suite/data") <= references
    assert size_bytes("data") <= 40 * MIB
    images = {".bin", ".a26", ".rom"}
    for top in INSTALLED | {"data", "docs", "tests"}:
        assert not [path for path in (ROOT / top).rglob("*") if path.suffix.lower() in images]


def test_one_version_everywhere():
    version = understudy.__version__
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


def test_the_licence_names_what_is_not_ours():
    text = (ROOT / "LICENSE").read_text()
    for part in ("MIT License", "ale-py", "GPL-2.0", "MinAtar", "GPL-3.0", "CC-BY-4.0"):
        assert part in text


def test_the_makefile_has_the_targets():
    defined = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert defined >= MAKE_TARGETS


def shell_lines(document: str) -> list[str]:
    """Return the lines of the shell blocks of a Markdown file, without comments."""
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", (ROOT / document).read_text(), re.M | re.S)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_of_a_document_exist(document, capsys):
    lines = shell_lines(document)
    assert lines, f"{document} shows no command"
    for line in lines:
        program, *arguments = shlex.split(line)
        if program == "make":
            assert set(arguments) <= MAKE_TARGETS
        elif program == "understudy":
            known = [name for name in arguments[:1] if name in cli.commands()]
            assert known or arguments[0] == "--help", f"{document} shows `{line}`"
            assert cli.main([*known, "--help"]) == 0
            options = re.findall(r"--[a-z-]+", capsys.readouterr().out)
            assert {part for part in arguments if part.startswith("--")} <= set(options)


def test_the_example_of_an_architecture_runs_and_agrees_with_itself():
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)
    scope: dict[str, Any] = {"__name__": "example"}
    exec(code, scope)
    player = scope["Constant"](scope["ConstantConfig"](), SimpleNamespace(num_actions=3))
    with torch.no_grad():
        player.preference.copy_(torch.tensor([0.5, 2.0, 1.0]))
        first_of_run = torch.tensor([[True, False, False, False], [False, False, False, False]])  # [B, T]
        B, T = first_of_run.shape
        timesteps = Timestep(
            observation=torch.zeros(B, T, dtype=torch.uint8),
            legal_actions=torch.ones(B, T, 3, dtype=torch.bool),
            previous_action=torch.zeros(B, T, dtype=torch.int64),
            previous_reward=torch.zeros(B, T),
            first=first_of_run,
            first_of_run=first_of_run,
        )
        past = {"age": torch.tensor([7, 7])}
        logits, state = player.unroll(timesteps, past)
        for t in range(T):
            step_logits, past = player.step(Timestep(*(part[:, t] for part in timesteps)), past)
            assert torch.equal(step_logits, logits[:, t])
    assert torch.equal(logits, torch.tensor([0.5, 2.0, 1.0]).expand(B, T, 3))
    assert state["age"].tolist() == past["age"].tolist() == [4, 11]
    assert player.initial_state(2)["age"].tolist() == [0, 0]


def test_the_readme_lists_every_command_and_no_other_with_options_that_exist(capsys):
    lines = re.findall(r"^\| `understudy ([^`]+)`", (ROOT / "README.md").read_text(), re.MULTILINE)
    words = [re.findall(r"[a-z]+(?:-[a-z]+)*", re.split(r" [^a-z]", line)[0]) for line in lines]
    assert sorted({first for first, *_ in words}) == sorted(cli.commands())
    for line, named in zip(lines, words, strict=True):
        assert cli.main([*named, "--help"]) == 0
        assert set(re.findall(r"--[a-z-]+", line)) <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
