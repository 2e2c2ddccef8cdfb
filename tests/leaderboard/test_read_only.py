"""Results that may only be read: what reads them works, and what writes there says why it can't."""

import ctypes.wintypes  # noqa: F401 - these two here, as nobody may not read where they are installed
import os
import shutil

import matplotlib.pyplot  # noqa: F401
import pytest
from support import privileges

from understudy import cli
from understudy.leaderboard import scores, stored_rows
from understudy.suite.errors import InputError
from understudy.suite.harness import row_storage


@pytest.fixture
def read_only(results, monkeypatch):
    """A copy of these rows that may be read but not written, beside a folder for what is written."""
    with privileges.nobodys_folder() as folder:
        monkeypatch.setattr(stored_rows, "RESULTS", folder / "none")
        shutil.copytree(results, folder / "results")
        (folder / "cache").mkdir()
        (folder / "cache").chmod(0o777)
        monkeypatch.setenv("UNDERSTUDY_CACHE", str(folder / "cache"))
        for path in (folder / "results", *(folder / "results").rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield folder


def run(*arguments):
    with privileges.as_nobody():
        return cli.main([str(each) for each in arguments])


def test_what_reads_results_works(read_only, capsys):
    results, site = read_only / "results", read_only / "site"
    assert run("verify", results, "--processes", 1) == cli.DONE
    assert run("board", results, "--out", site, "--no-figures") == cli.DONE
    tables = {"table.csv", "table.json", "table.md", "table.parquet"}
    assert {path.name for path in site.iterdir() if path.is_file()} >= {*tables, "index.html", "data.json"}
    assert capsys.readouterr().out.count("replayed, 16 runs") == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("rescore", "{results}"),
        ("board", "{results}", "--out", "{results}/site", "--no-figures"),
        ("score", "random", "--benchmark", "darkroom-v1", "--task", "skill", "--out", "{results}"),
        ("references", "darkroom-v1", "--budget", "quick", "--out", "{results}"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_writes_there_says_so(read_only, capsys, arguments):
    results = read_only / "results"
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    assert run(*(each.format(results=results) for each in arguments)) == cli.MACHINE_FAILED
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("understudy: ")]
    assert len(said) == 1
    assert str(results) in said[0]
    assert "ermission denied" in said[0]
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before


def test_a_submission_that_may_only_be_read_is_checked(make_submission, capsys, monkeypatch):
    submission = make_submission()
    assert cli.main(["check", str(submission)]) == cli.DONE  # imports modules that nobody may not read
    with privileges.nobodys_folder() as folder:
        shutil.copytree(submission, folder / "mine")
        shutil.copytree(os.environ["UNDERSTUDY_DATA"], folder / "data")
        for path in folder.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        (folder / "temporary").mkdir()
        (folder / "temporary").chmod(0o777)
        monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
        monkeypatch.setenv("UNDERSTUDY_DATA", str(folder / "data"))
        monkeypatch.setenv("UNDERSTUDY_CACHE", str(folder / "temporary"))
        monkeypatch.chdir(folder)
        assert run("check", folder / "mine") == cli.DONE, capsys.readouterr().err


def test_a_row_that_may_not_be_read_is_left_out_by_name(read_only, capsys):
    results = read_only / "results"
    other, closed = (row.path for row in stored_rows.every_row_in(results))
    with privileges.closed(closed):
        assert run("board", results, "--out", read_only / "site", "--no-figures") == cli.CHECK_FAILED
        said = capsys.readouterr().err
        assert f"{closed}/row.json: cannot be read (Permission denied)" in said
        assert str(other) not in said
    with privileges.closed(other):  # the reference of both
        assert run("board", results, "--out", read_only / "site", "--no-figures") == cli.CHECK_FAILED
        said = capsys.readouterr().err
        assert f"{other}/row.json: cannot be read (Permission denied)" in said


def test_a_row_with_a_job_that_may_not_be_read_is_not_taken_for_whole(read_only):
    """Were the job passed over, the row would be scored and packed without it."""
    results = read_only / "results"
    row = stored_rows.every_row_in(results)[0].path
    row.chmod(0o777)
    (row / "later" / "job").mkdir(parents=True)
    with privileges.closed(row / "later"), privileges.as_nobody():
        with pytest.raises(InputError, match=r"later(/job)?: may not be (listed|read)"):
            row_storage.is_complete(row)
        with pytest.raises(InputError, match=r"later(/job)?: may not be (listed|read)"):
            scores.score_all(results)


def test_a_row_on_a_disk_that_is_not_there_is_left_out_by_name(copied, capsys, monkeypatch):
    monkeypatch.setattr(stored_rows, "RESULTS", copied / "none")
    row = stored_rows.every_row_in(copied)[0].path
    shutil.rmtree(row)
    row.symlink_to("/not/mounted")
    assert cli.main(["board", str(copied), "--out", str(copied / "site"), "--no-figures"]) == cli.CHECK_FAILED
    assert f"{row}/row.json: no such file" in capsys.readouterr().err
