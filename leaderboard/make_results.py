"""Makes the trained entries and their rows by the recipes: `python -m understudy.leaderboard.make_results`.

What is there already is kept: an interrupted call goes on where it was, and a second one does nothing.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from understudy.leaderboard import recipes
from understudy.leaderboard.recipes import Folders, Recipe, Step
from understudy.suite import registry
from understudy.suite.benchmarks import data_folders
from understudy.suite.errors import InputError
from understudy.suite.io import checkout
from understudy.suite.reserved_names import DECLARATION, ENTRIES

REMADE = ".remade"  # ends the names of entries that are made again in a folder of one's own


class Failed(Exception):
    """A command ended with another exit code than 0."""


class Maker:
    """Runs the commands of recipes, several recipes side by side, each command with a log of its own."""

    def __init__(self, folders: Folders, logs: Path) -> None:
        self.folders, self._logs = folders, logs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_stopped = False

    def make(self, recipe: Recipe, source: Recipe | None, ready: Future[None] | None) -> None:
        """Search, train and play what a recipe lacks; Failed with the log of a command that failed.

        Args:
            recipe: what is made.
            source: the recipe whose weights or chosen settings it has.
            ready: `source`, if it is being made.
        """
        if ready is not None:
            ready.result()
        if recipe.weights_of is not None and source is not None:
            recipes.redecode(recipe, source, self.folders)
        elif not (self.folders.entry(recipe) / DECLARATION).exists():
            chosen = self._chosen(source or recipe)
            self._run(recipe, recipes.training(recipe, chosen, self.folders))
        for step in recipes.rows(recipe, self.folders):
            self._run(recipe, step)

    def _chosen(self, recipe: Recipe) -> recipes.Numbers:
        """Return the settings that a recipe's search chooses, after the trainings that it lacks."""
        chosen = recipes.chosen(recipe, self.folders)
        if chosen is not None:
            return chosen
        for _, out, step in recipes.searches(recipe, self.folders):
            if not (out / DECLARATION).exists():
                self._run(recipe, step)
        return recipes.choose(recipe, self.folders)

    def stop(self) -> None:
        """Interrupt the running commands, which save what they have, and wait for them."""
        self._is_stopped = True
        with self._lock:
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            process.wait()

    def _run(self, recipe: Recipe, step: Step) -> None:
        if self._is_stopped:
            raise Failed("interrupted")
        started = time.monotonic()
        print(f"{step.title}: understudy {shlex.join(step.arguments)}", flush=True)
        log = self._logs / recipe.benchmark / f"{recipe.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", "import sys; from understudy.cli import main; sys.exit(main())"]
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [*command, *step.arguments], stdout=sink, stderr=sink, env=_environment(recipe)
            )
            with self._lock:
                self._running.add(process)
            _, status, used = os.wait4(process.pid, 0)
            code = process.returncode = os.waitstatus_to_exitcode(status)
            with self._lock:
                self._running.discard(process)
                recipes.add_cost(recipe, step.what, used.ru_utime + used.ru_stime, self.folders)
        if code:
            raise Failed(f"{step.title}: ended with exit code {code}; see {log}")
        print(f"{step.title}: done in {time.monotonic() - started:,.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing of the recipes' entries and rows; return the exit code."""
    parser = argparse.ArgumentParser(prog="make_results", description=__doc__)
    parser.add_argument("--only", action="append", metavar="BENCHMARK/NAME", help="may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="recipes side by side (default: 1)")
    parser.add_argument(
        "--from-scratch", type=Path, metavar="FOLDER", help="make entries and rows again, in this folder"
    )
    given = parser.parse_args(arguments)
    found = recipes.read()
    for name in given.only or []:
        registry.choose(name, found, "recipe")
    wanted = {name: each for name, each in found.items() if not given.only or name in given.only}
    maker = Maker(_folders(given.from_scratch), (given.from_scratch or checkout.ROOT / "results") / "logs")
    coming: dict[str, Future[None]] = {}
    failed = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        for name, recipe in wanted.items():
            source = recipe.weights_of or recipe.search_of or ""
            coming[name] = pool.submit(maker.make, recipe, found.get(source), coming.get(source))
        try:
            for future in coming.values():
                try:
                    future.result()
                except Failed as error:
                    failed = True
                    print(error, file=sys.stderr)
        except KeyboardInterrupt:
            maker.stop()
            print("interrupted; the same command goes on", file=sys.stderr)
            return 130
    return int(failed)


def _environment(recipe: Recipe) -> dict[str, str]:
    """Return the environment in which all runs are found that a recipe watches."""
    more = [str(checkout.ROOT / folder) for folder in recipe.data]
    if not more:
        return dict(os.environ)
    usual = os.environ.get(data_folders.ENVIRONMENT_VARIABLE) or os.pathsep.join(
        str(folder) for folder in data_folders.roots()
    )
    return {**os.environ, data_folders.ENVIRONMENT_VARIABLE: os.pathsep.join([usual, *more])}


def _folders(own: Path | None) -> Folders:
    root = checkout.ROOT
    if own is None:
        checkout.require_for(ENTRIES)
        board = root / "leaderboard"
        made = root / "results"  # git ignores it
        return Folders(ENTRIES, made / "entries", board / "results", board / "searches", made / "trials")
    entries = own / "entries"
    return Folders(entries, entries, own / "results", own / "searches", own / "trials", REMADE)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as problem:
        sys.exit(f"make_results: {problem}")
