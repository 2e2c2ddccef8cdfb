"""Makes the entries and rows of all experiments: `python -m understudy.leaderboard.make_results`.

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
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from understudy.leaderboard import experiments
from understudy.leaderboard.experiments import Experiment, Folders, Step
from understudy.suite import registry
from understudy.suite.benchmarks import data_folders
from understudy.suite.errors import InputError
from understudy.suite.io import checkout
from understudy.suite.io.file_names import TRAINING_PICTURE
from understudy.suite.reserved_names import DECLARATION, ENTRIES

REMADE = ".remade"  # ends the names of entries that are made again in a folder of one's own


class Failed(Exception):
    """A command ended with another exit code than 0."""


class Maker:
    """Runs the commands of experiments, several of them side by side, each experiment with its own log."""

    def __init__(self, folders: Folders, logs: Path) -> None:
        self.folders, self._logs = folders, logs
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._is_stopped = False

    def make(self, experiment: Experiment, source: Experiment | None, ready: Future[None] | None) -> None:
        """Search, train and play what an experiment lacks; Failed with the log of a command that failed.

        Args:
            experiment: what is made.
            source: the experiment whose weights it has; None: it is trained.
            ready: `source`, if it is being made.
        """
        if ready is not None:
            ready.result()
        if source is not None:
            experiments.redecode(experiment, source, self.folders)
        elif not (self.folders.entry(experiment) / DECLARATION).exists():
            chosen = self._chosen(experiment)
            self._run(experiment, experiments.training(experiment, chosen, self.folders))
            (self.folders.entry(experiment) / TRAINING_PICTURE).unlink(missing_ok=True)  # drawn from the log
        for step in experiments.rows(experiment, self.folders):
            self._run(experiment, step)

    def _chosen(self, experiment: Experiment) -> experiments.Numbers:
        """Return the settings that an experiment's search chooses, after the trainings that it lacks."""
        chosen = experiments.chosen(experiment, self.folders)
        if chosen is not None:
            return chosen
        for _, out, step in experiments.searches(experiment, self.folders):
            if not (out / DECLARATION).exists():
                self._run(experiment, step)
        return experiments.choose(experiment, self.folders)

    def stop(self) -> None:
        """Interrupt the running commands, which then save what they have, and begin no other."""
        with self._lock:
            self._is_stopped = True
            for process in self._running:
                process.terminate()

    def _run(self, experiment: Experiment, step: Step) -> None:
        started = time.monotonic()
        print(f"{step.title}: understudy {shlex.join(step.arguments)}", flush=True)
        log = self._logs / experiment.benchmark / f"{experiment.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", "import sys; from understudy.cli import main; sys.exit(main())"]
        with log.open("ab") as sink:
            with self._lock:
                if self._is_stopped:
                    raise Failed("interrupted")
                process = subprocess.Popen(
                    [*command, *step.arguments],
                    stdout=sink,
                    stderr=sink,
                    env=_environment(experiment),
                    process_group=0,  # Ctrl-C reaches it by `stop` alone: a second signal would kill it
                )
                self._running.add(process)
            _, status, used = os.wait4(process.pid, 0)
            code = process.returncode = os.waitstatus_to_exitcode(status)
            with self._lock:
                self._running.discard(process)
                experiments.add_cost(experiment, step.what, used.ru_utime + used.ru_stime, self.folders)
        if code:
            raise Failed(f"{step.title}: ended with exit code {code}; see {log}")
        print(f"{step.title}: done in {time.monotonic() - started:,.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make what is missing of the experiments' entries and rows; return the exit code."""
    parser = argparse.ArgumentParser(prog="make_results", description=__doc__)
    parser.add_argument("--only", action="append", metavar="BENCHMARK/NAME", help="may be repeated")
    parser.add_argument("--jobs", type=int, default=1, help="experiments side by side (default: 1)")
    parser.add_argument(
        "--from-scratch", type=Path, metavar="FOLDER", help="make entries and rows again, in this folder"
    )
    given = parser.parse_args(arguments)
    found = experiments.read()
    for name in given.only or []:
        registry.choose(name, found, "experiment")
    wanted = {name: each for name, each in found.items() if not given.only or name in given.only}
    maker = Maker(_folders(given.from_scratch), (given.from_scratch or checkout.ROOT / "results") / "logs")
    coming: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        for name, experiment in wanted.items():
            source = experiment.weights_of or ""
            coming[name] = pool.submit(maker.make, experiment, found.get(source), coming.get(source))
        return wait_for(coming.values(), maker)


def wait_for(coming: Iterable[Future[None]], maker: Maker) -> int:
    """Wait for what is made and show what failed; return the exit code. Ctrl-C and SIGTERM stop the maker."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    failed = False
    try:
        for future in coming:
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


def _environment(experiment: Experiment) -> dict[str, str]:
    """Return the environment in which all runs are found that an experiment watches."""
    more = [str(checkout.ROOT / folder) for folder in experiment.data]
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
        return Folders(ENTRIES, board / "results", board / "searches", root / "results")
    return Folders(own / "entries", own / "results", own / "searches", own, REMADE)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as problem:
        sys.exit(f"make_results: {problem}")
