"""Imports point one way, and scoring and the leaderboard load neither players nor emulators."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

from understudy import cli

FOLDERS = {
    "understudy": ROOT / "understudy",
    "understudy.suite": ROOT / "suite",
    "understudy.baselines": ROOT / "baselines",
    "understudy.submissions": ROOT / "submissions",
    "understudy.leaderboard": ROOT / "leaderboard",
}

# The modules at the top of the suite form one group, each of its folders another.
FOUNDATION = {
    *("protocols", "errors", "registry", "json_text", "validation", "draws", "exploration"),
    *("stored_names", "reserved_names", "escaping", "custom_code", "devices"),
}
# Each group may import those before it in BENEATH and CHAIN, ...
BENEATH = ("foundation", "io", "games", "hub", "histories")
CHAIN = (
    *("scoring", "tasks", "benchmarks", "teachers", "harness", "testing"),
    *("baselines", "submissions", "leaderboard", "front door"),
)
# ... except these.
NEVER = {
    "games": {"io"},
    "hub": {"games"},
    "scoring": {"io", "games", "hub", "histories"},  # pure functions of what they are given
    "tasks": {"io", "games", "hub", "histories"},
    "teachers": {"scoring", "tasks", "benchmarks"},
    "leaderboard": {"baselines", "submissions"},  # stored rows are scored without the code that played them
}
ORDER = (*BENEATH, *CHAIN)
ALLOWED = {group: set(ORDER[:position]) - NEVER.get(group, set()) for position, group in enumerate(ORDER)}


def modules() -> dict[str, Path]:
    """Return the project's modules by their full names."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            inner = path.relative_to(folder).with_suffix("").parts
            parts = [*package.split("."), *(inner[:-1] if inner[-1] == "__init__" else inner)]
            if not {"entries", "data", "new_architecture"} & set(inner):
                found[".".join(parts)] = path
    return found


MODULES = modules()


def group(module: str) -> str:
    parts = module.split(".")
    if parts[1:2] == ["suite"]:
        inner = parts[2] if parts[2:] else ""
        return inner if (ROOT / "suite" / inner).is_dir() and inner else "foundation"
    return parts[1] if parts[1:] and parts[1] in ("baselines", "submissions", "leaderboard") else "front door"


def imported(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[str, bool]]:
    """Yield each module that a module imports anywhere in it, and whether only for the type checker."""
    for node, for_types in nodes(tree, False):
        if isinstance(node, ast.Import):
            yield from ((alias.name, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + is_package]
                source = ".".join([*above, source]).rstrip(".")
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield (inner if inner in MODULES else source), for_types


def nodes(parent: ast.AST, for_types: bool) -> Iterator[tuple[ast.AST, bool]]:
    for child in ast.iter_child_nodes(parent):
        guards = isinstance(parent, ast.If) and ast.unparse(parent.test) == "TYPE_CHECKING"
        inside = for_types or (guards and child in parent.body)
        yield child, inside
        yield from nodes(child, inside)


def imports_of(module: str) -> list[tuple[str, bool]]:
    path = MODULES[module]
    tree = ast.parse(path.read_text(), str(path))
    return list(imported(tree, module, path.name == "__init__.py"))


def test_the_reading_of_imports_finds_every_form():
    source = """
import a.b
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import only.types
else:
    import not_types
def late():
    from understudy.suite import games
    from . import near
    from .. import registry
"""
    found = list(imported(ast.parse(source), "understudy.suite.histories.replay", False))
    assert found == [
        ("a.b", False),
        ("typing", False),
        ("only.types", True),
        ("not_types", False),
        ("understudy.suite.games", False),
        ("understudy.suite.histories", False),
        ("understudy.suite.registry", False),
    ]


def test_every_part_of_the_suite_is_in_a_group():
    names = {module.split(".")[2] for module in MODULES if module.startswith("understudy.suite.")}
    folders = {name for name in names if (ROOT / "suite" / name).is_dir()}
    assert names - folders == FOUNDATION
    assert {group(module) for module in MODULES} == set(ORDER)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module):
    here = group(module)
    for name, _ in imports_of(module):
        if name != "understudy" and not name.startswith("understudy."):
            continue
        assert name in MODULES, f"{module} imports {name}, which is no module of the project"
        there = group(name)
        # The version is the one thing that everybody may take from the front door.
        allowed = there == here or there in ALLOWED[here] or name == "understudy"
        assert allowed, f"{module} ({here}) imports {name} ({there}); {here} may use {sorted(ALLOWED[here])}"


def test_no_module_imports_itself_by_way_of_others():
    graph = {
        module: {name for name, for_types in imports_of(module) if name in MODULES and not for_types}
        for module in MODULES
    }
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the cycle
    assert set(order) == set(MODULES)


def test_protocols_import_torch_for_the_type_checker_only():
    found = [for_types for name, for_types in imports_of("understudy.suite.protocols") if name == "torch"]
    assert found == [True]


def loaded_by(code: str) -> set[str]:
    """Return the top-level names that a fresh interpreter has loaded after running the code."""
    report = "import sys; print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, timeout=300
    )
    return set(ran.stdout.rpartition("LOADED ")[2].split())


HEAVY = {"torch", "minatar", "ale_py", "matplotlib", "pandas"}
LIGHT_HARNESS = ("entry", "feedback", "interventions", "jobs", "lanes", "records", "requests")


def of_package(name: str) -> list[str]:
    return sorted(module for module in MODULES if f"{module}.".startswith(f"understudy.{name}."))


@pytest.mark.parametrize("package", ["leaderboard", "suite.harness.engines"])
def test_the_leaderboard_loads_no_player_and_no_emulator(package):
    parts = of_package(package)
    loaded = loaded_by(f"import {', '.join(parts)}")
    assert "understudy" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize(
    "package",
    [
        "suite.scoring",
        "suite.tasks",
        "suite.exploration",
        *(f"suite.harness.{name}" for name in LIGHT_HARNESS),
    ],
)
def test_scoring_and_planning_load_nothing_heavy(package):
    loaded = loaded_by(f"import {', '.join(of_package(package))}")
    assert "understudy" in loaded
    assert not loaded & (HEAVY | {"gymnasium"})


def test_the_optimiser_is_loaded_where_an_interval_searches():
    code = "import sys, understudy.suite.benchmarks; sys.exit('scipy.optimize' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=300).returncode == 0


@pytest.mark.parametrize(
    "arguments", [["--help"], *([name, "--help"] for name in cli.commands())], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments):
    loaded = loaded_by(f"from understudy.cli import main\nassert main({arguments!r}) == 0")
    assert "typer" in loaded
    assert not loaded & {
        "torch",
        "minatar",
        "matplotlib",
        "pandas",
        "pyarrow",
        "gymnasium",
        "ale_py",
        "scipy",
    }
