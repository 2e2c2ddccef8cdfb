"""The command line: what help shows, and one line and one exit code for everything that can go wrong."""

import io
import os
import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer
from support import ROOT

import understudy
from understudy import cli
from understudy.baselines.training import settings
from understudy.submissions import train_submission
from understudy.suite import benchmarks
from understudy.suite.errors import CheckFailed, InputError, MachineError


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Return a function that makes its argument the command `act`, beside a command `other`."""

    def install_command(behaviour: Callable[[], None]) -> None:
        command = typer.Typer()

        @command.command("act")
        def act(
            number: Annotated[int, typer.Option()] = 0,
            restart: Annotated[bool, typer.Option("--restart")] = False,
            out: Annotated[str, typer.Option()] = "",
        ) -> None:
            behaviour()

        other = typer.Typer()
        other.command("other")(lambda: None)
        for name, application in (("act", command), ("other", other)):
            module = types.ModuleType(f"understudy.commands.{name}")
            module.COMMAND = application
            monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(cli, "commands", lambda: ("act", "other"))

    return install_command


def raising(error: BaseException) -> Callable[[], None]:
    def behaviour() -> None:
        raise error

    return behaviour


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("W is 10,\nfound 9"), 2, "understudy: W is 10, found 9"),
        (CheckFailed("move 7 differs"), 1, "understudy: move 7 differs"),
        (MachineError("no network"), 3, "understudy: no network"),
        (OSError(28, "No space left on device", "a/b"), 3, "[Errno 28] No space left on device: 'a/b'"),
        (PermissionError(13, "Permission denied", "a/b"), 3, "Permission denied: 'a/b'"),
        (
            NotADirectoryError(20, "Not a directory", "a/b"),
            2,
            "a/b: is a file, or lies below one",
        ),
        (FileExistsError(17, "File exists", "a"), 2, "a: is a file"),
        (IsADirectoryError(21, "Is a directory", "a"), 2, "a: is a folder"),
        (MemoryError(), 3, "understudy: MemoryError"),
        (KeyboardInterrupt(), 130, "interrupted; to go on: understudy act --number 3"),
        (KeyboardInterrupt("stopped at move 7"), 130, "understudy: stopped at move 7"),
        (typer.BadParameter("must be even"), 2, "must be even"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_an_error_is_one_line_and_a_code(install, capsys, error, code, line):
    install(raising(error))
    assert cli.main(["act", "--number", "3"]) == code
    captured = capsys.readouterr()
    assert line in captured.err
    assert captured.err.startswith("understudy: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_bug_leaves_its_traceback_in_the_file_that_the_line_names(install, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    install(raising(ZeroDivisionError("seven by zero")))
    assert cli.main(["act"]) == 70
    captured = capsys.readouterr()
    (file,) = tmp_path.iterdir()
    assert str(file) in captured.err
    assert captured.err.count("\n") == 1
    kept = file.read_text()
    assert "Traceback (most recent call last)" in kept
    assert "ZeroDivisionError: seven by zero" in kept
    assert "understudy act" in kept


def test_a_bug_among_odd_bytes_is_reported_as_any_other(install, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    odd = os.fsdecode(b"caf\xe9")
    install(raising(ZeroDivisionError(f"in {odd}")))
    assert cli.main(["act", "--out", odd]) == 70
    captured = capsys.readouterr()
    (file,) = tmp_path.iterdir()
    assert str(file) in captured.err
    assert captured.err.count("\n") == 1
    kept = file.read_text(encoding="utf-8")
    assert "understudy act --out 'caf\\udce9'" in kept
    assert "ZeroDivisionError: in caf\\udce9" in kept


def test_no_character_is_too_odd_for_the_output(install, monkeypatch):
    def show() -> None:
        print("\xe9", os.fsdecode(b"\xe9"))
        print("\u2014", file=sys.stderr)

    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    install(show)
    assert cli.main(["act"]) == 0
    err.flush()
    assert out.buffer.getvalue() == b"\\xe9 \\udce9\n"
    assert err.buffer.getvalue() == b"\\u2014\n"


def test_a_bug_on_a_full_disk_still_shows_its_traceback(install, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    install(raising(ZeroDivisionError("seven by zero")))
    assert cli.main(["act"]) == 70
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_done_is_zero_and_silent(install, capsys):
    install(lambda: None)
    assert cli.main(["act"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["acct"], ("'acct'", "Did you mean 'act'?", "See: understudy --help")),
        (["act", "--numbr", "3"], ("--numbr", "--number", "See: understudy act --help")),
        (["act", "--number", "three"], ("'--number'", "integer. See: understudy act --help")),
        (["act", "--number"], ("'--number'",)),
        (["act", "surplus"], ("surplus", "See: understudy act --help")),
        (["--nonsense"], ("--nonsense", "See: understudy --help")),
    ],
)
def test_bad_usage_is_one_line_that_says_what_to_do(install, capsys, arguments, named):
    install(lambda: None)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert all(part in captured.err for part in named), captured.err
    assert captured.err.count("\n") == 1


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"understudy {understudy.__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_shows_every_command(capsys, arguments):
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    for name in cli.commands():
        assert f"\n  {name} " in shown


@pytest.mark.parametrize("name", cli.commands())
def test_every_command_has_help_and_a_sentence_in_the_list(capsys, name):
    assert cli.main([name, "--help"]) == 0
    assert f"understudy {name}" in capsys.readouterr().out
    cli.main([])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith(f"  {name} ")]
    assert len(line.split()) > 2, "the list shows a command without a description"


def test_a_group_without_a_command_shows_its_help(capsys):
    assert cli.main(["histories"]) == 0
    bare = capsys.readouterr()
    assert cli.main(["histories", "--help"]) == 0
    assert bare.out == capsys.readouterr().out
    assert "Usage: understudy histories" in bare.out
    assert bare.err == ""


def test_commands_are_files_and_come_in_the_order_of_help():
    folder = Path(cli.__file__).parent / "commands"
    stems = {path.stem.replace("_", "-") for path in folder.glob("*.py")} - {"--init--"}
    groups = {path.parent.name for path in folder.glob("*/_group.py")}
    assert groups
    stems |= groups
    assert set(cli.commands()) == stems
    ordered = [name for name in cli.commands() if name in cli.HELP_ORDER]
    assert ordered == [name for name in cli.HELP_ORDER if name in stems]


def test_benchmarks_lists_what_is_registered(capsys):
    assert cli.main(["benchmarks"]) == 0
    shown = capsys.readouterr().out
    for name in benchmarks.names():
        assert name in shown


@pytest.mark.parametrize("name", benchmarks.names())
def test_benchmarks_shows_one(capsys, name):
    assert cli.main(["benchmarks", name]) == 0
    shown = capsys.readouterr().out
    benchmark = benchmarks.load(name)
    assert f"watched moves: {benchmark.watched_moves:,}" in shown
    assert benchmark.identity in shown
    for budget in benchmark.budget_names:
        assert f" {budget} " in shown


def test_teacher_data_are_summarised_and_listed_when_asked(capsys, monkeypatch):
    """81 games of darkroom are two lines; five of MinAtar a line each."""
    monkeypatch.delenv("UNDERSTUDY_DATA", raising=False)
    benchmark = benchmarks.load("darkroom-v1")
    runs = benchmarks.teacher_runs(benchmark)
    watched = sum(run.game in benchmark.watched_games for run in runs)
    assert cli.main(["benchmarks", "darkroom-v1"]) == 0
    shown = capsys.readouterr().out
    assert re.search(rf"watched games +{watched} +14,300 +{watched} of {watched} ", shown)
    assert re.search(rf"new games +{len(runs) - watched} +14,300 +0 of {len(runs) - watched}", shown)
    assert "each run and its folder: understudy benchmarks darkroom-v1 --runs" in shown
    assert shown.count("\n") < 50
    assert cli.main(["benchmarks", "darkroom-v1", "--runs"]) == 0
    listed = capsys.readouterr().out
    assert all(str(run.folder) in listed for run in runs)
    assert cli.main(["benchmarks", "minatar-v1"]) == 0
    assert re.search(r"breakout +8 +500,000 to 2,750,000 +8 of 8", capsys.readouterr().out)


def test_the_help_of_train_states_the_defaults(capsys):
    assert cli.main(["train", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"Updates per checkpoint; default: {settings.TrainingSettings().updates:,}." in shown
    assert train_submission.DEFAULT_MODES == {"darkroom": "multi"}
    assert "default: multi for darkroom, single for others." in shown


def test_an_unknown_benchmark_gets_a_suggestion(capsys):
    assert cli.main(["benchmarks", "minatr-v1"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "understudy: unknown benchmark 'minatr-v1'; did you mean 'minatar-v1'?\n"
    assert captured.out == ""


def in_process(*arguments: str, **settings) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "understudy", *arguments]
    return subprocess.run(command, text=True, check=False, timeout=300, **settings)


def test_the_module_is_the_command():
    ran = in_process("--version", capture_output=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"understudy {understudy.__version__}\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_onto_a_full_disk_is_a_machine_failure():
    with open("/dev/full", "w", encoding="utf-8") as full:
        ran = in_process("--help", stdout=full, stderr=subprocess.PIPE)
    assert ran.returncode == 3
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("arguments", ["--help", "--version", "histories", "benchmarks"])
def test_a_reader_that_leaves_is_no_failure(arguments):
    """As in `understudy board RESULTS --out OUT | head -1`; `benchmarks` prints by rich, others by click."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ran = in_process(arguments, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_broken_pipe_elsewhere_is_a_failure(install, capsys):
    """For example the socket of a download."""
    install(raising(BrokenPipeError(32, "Broken pipe")))
    assert cli.main(["act"]) == 3
    assert capsys.readouterr().err == "understudy: [Errno 32] Broken pipe\n"


def test_the_command_to_resume_has_no_restart(install, capsys):
    install(raising(KeyboardInterrupt()))
    assert cli.main(["act", "--number", "3", "--restart"]) == 130
    assert capsys.readouterr().err.strip().endswith("to go on: understudy act --number 3")


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        (
            "train-teacher darkroom-v1 --game goal-40 --moves 10000000 --out {out}",
            "the same command resumes from {out}",
        ),
        (
            "score random --benchmark minatar-v1 --engine process --budget full --out {out}",
            "to go on: understudy score random --benchmark minatar-v1",
        ),
    ],
    ids=["train-teacher", "score"],
)
def test_sigterm_stops_the_workers_and_the_last_line_says_how_to_resume(tmp_path, arguments, how):
    """A job scheduler sends SIGTERM to the process that it started, and to no other."""
    command = [sys.executable, "-m", "understudy", *arguments.format(out=tmp_path).split()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        line = first_progress(process)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(60) == 130, line + rest
    assert how.format(out=tmp_path) in rest.splitlines()[-1]
    assert_none_is_left(process.pid)


@pytest.mark.parametrize(
    "arguments",
    [
        "score random --benchmark minatar-v1 --engine process --budget full --out {out}",
        "histories verify {runs}",
    ],
)
def test_the_workers_of_a_killed_process_end(tmp_path, arguments):
    runs = (ROOT / "suite" / "data" / "minatar-v1").glob("*/*/history.parquet")  # many moves
    line = arguments.format(out=tmp_path, runs=" ".join(map(str, runs)))
    command = [sys.executable, "-m", "understudy", *line.split()]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        first_progress(process)
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
    assert_none_is_left(process.pid)


def first_progress(process: subprocess.Popen[str]) -> str:
    """Return what a command has said when it has begun to play."""
    said = ""
    for line in process.stderr:
        said += line
        if " of " in line:
            break
    return said


def assert_none_is_left(group: int) -> None:
    """Wait until a group of processes has ended, ten seconds at most."""
    for _ in range(100):  # workers end after their next move
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a worker is left")
