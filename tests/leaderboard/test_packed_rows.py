"""Rows at rest: few files, read as their trees were, and a bad one is named while the others are shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support import rows

from understudy import cli
from understudy.leaderboard import board, front_page, scores, stored_rows, verification
from understudy.leaderboard.figures import board_figures
from understudy.leaderboard.stored_rows import Shortfall
from understudy.submissions import scoring
from understudy.suite.errors import CheckFailed, InputError
from understudy.suite.harness import records, row_archive, row_storage, work
from understudy.suite.harness.row_archive import ARCHIVE
from understudy.suite.io import file_names, files

BUDGET = "darkroom-v1/quick"
RUN = f"{BUDGET}/random/start/control/lane-3"
AT_REST = {records.ROW, scores.SCORES, records.TIMING, ARCHIVE}


def pack_all(results: Path) -> None:
    for row in stored_rows.rows_in(results):
        assert row_storage.pack(row.path)


def unpack(results: Path, name: str) -> None:
    with row_storage.unpacked({results / BUDGET / name: False}):
        pass


def files_of(results: Path, name: str) -> set[str]:
    row = results / BUDGET / name
    return {path.relative_to(row).as_posix() for path in row.rglob("*")}


def failures(folder: Path) -> dict[str, tuple[str, ...]]:
    return {each.row.name: each.failures for each in verification.verify(folder, processes=1)}


@pytest.fixture
def packed(copied):
    """The same rows at rest, with tables."""
    board.rescore(copied)
    return copied


# Tree and archive


def test_a_row_at_rest_is_four_files(packed):
    assert files_of(packed, "random") == files_of(packed, "frozen-teacher") == AT_REST


def test_a_tree_and_an_archive_give_the_same_bytes(copied, tmp_path):
    """Scores, tables, figures and what verification finds; with both forms in one row, too."""
    written = {}
    for form in ("tree", "archive", "both"):
        folder = tmp_path / form / "results"
        shutil.copytree(copied, folder)
        if form != "tree":
            pack_all(folder)
        if form == "both":
            unpack(folder, "random")
            (folder / RUN / records.RECORD).unlink()
            (folder / RUN / file_names.HISTORY).unlink()
        scored = scores.rescore(folder)
        board.write(scored, folder)
        board_figures.write(scored, folder)
        assert failures(folder) == {"frozen-teacher": (), "random": ()}
        findings = verification.verify(folder, processes=1)
        counts = tuple((each.runs, each.moves, each.not_played) for each in findings)
        names = [path for path in folder.rglob("*") if path.name in (*board.FILES, scores.SCORES)]
        names += folder.glob("figures/**/*.svg")
        written[form] = (
            counts,
            {path.relative_to(folder).as_posix(): path.read_bytes() for path in names},
        )
    assert written["tree"] == written["archive"] == written["both"]
    assert len(written["tree"][1]) >= 4


@pytest.mark.parametrize("name", [records.RECORD, file_names.HISTORY])
def test_what_is_wrong_in_an_archive_is_named_as_in_a_tree(copied, name):
    path = copied / RUN / name
    data = path.read_bytes()
    middle = len(data) // 2
    at = data.index(b'"points": ') + 10 if name == records.RECORD else middle
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    in_tree = failures(copied)
    pack_all(copied)
    in_archive = failures(copied)
    row = copied / BUDGET / "random"
    moved = {f"{row}/": f"{row / ARCHIVE}: "}
    assert len(in_tree["random"]) > 0
    for tree, archive in zip(in_tree["random"], in_archive["random"], strict=True):
        for old, new in moved.items():
            tree = tree if f"{row / scores.SCORES}" in tree else tree.replace(old, new)
        assert archive == tree
    assert any(f"runs.zip: start/control/lane-3/{name}" in text for text in in_archive["random"])


# Playing and checking a packed row


def test_more_is_played_for_a_packed_row_and_what_was_there_stays(packed, tmp_path):
    before = (packed / BUDGET / "random" / ARCHIVE).read_bytes()
    rows.score(rows.requested("random", packed), tasks=["skill"])
    board.rescore(packed)
    assert (packed / BUDGET / "random" / ARCHIVE).read_bytes() == before  # nothing was played again
    command = ["score", "random", "--benchmark", "darkroom-v1", "--out", str(packed)]
    assert cli.main([*command, "--task", "transfer"]) == 0
    assert files_of(packed, "random") == AT_REST
    held = row_archive.members(packed / BUDGET / "random" / ARCHIVE)
    assert {name.partition("/")[0] for name in held} == {"agreement", "start", "start-new", "transfer"}
    timed = files.read_json(packed / BUDGET / "random" / records.TIMING)["jobs"]
    assert set(timed) == {"start/control", "start-new/control", "transfer/control"}
    whole = tmp_path / "whole"
    rows.score(rows.requested("random", whole), tasks=["skill", "transfer"])
    board.rescore(whole)
    parts, at_once = (folder / BUDGET / "random" / ARCHIVE for folder in (packed, whole))
    assert parts.read_bytes() == at_once.read_bytes()


def test_a_packed_row_is_checked(packed):
    requested = rows.requested("frozen-teacher", packed)
    scoring.check([requested], work.RECHECK)
    scored = board.rescore(packed)
    assert [one.rechecked for one in scored if one.folder.name == "frozen-teacher"] == [True]
    assert files_of(packed, "frozen-teacher") == AT_REST
    name = f"start/control/{records.RECHECKED}"
    assert name in row_archive.members(packed / BUDGET / "frozen-teacher" / ARCHIVE)
    assert failures(packed) == {"frozen-teacher": (), "random": ()}


def test_a_restart_plays_a_packed_row_anew(packed):
    path = packed / BUDGET / "random" / ARCHIVE
    before = path.read_bytes()
    path.write_bytes(b"damaged")
    command = ["score", "random", "--benchmark", "darkroom-v1", "--task", "skill", "--out", str(packed)]
    assert cli.main(command) == 2
    assert path.read_bytes() == b"damaged"
    assert cli.main([*command, "--restart"]) == 0
    assert path.read_bytes() == before


def test_other_jobs_than_the_packed_ones_are_refused_before_anything_is_unpacked(packed, capsys):
    before = sorted(packed.rglob("*"))
    command = ["score", "random", "--benchmark", "darkroom-v1", "--out", str(packed), "--num-envs", "4"]
    assert cli.main(command) == 2
    assert "holds another job's runs (this one has 4 lanes, not 16)" in capsys.readouterr().err
    assert sorted(packed.rglob("*")) == before


def test_an_archive_without_its_row_is_named(packed):
    path = packed / BUDGET / "frozen-teacher" / records.ROW
    path.unlink()
    (text, *_) = [text for text in failures(packed)["random"] if "not scored" in text]
    assert text.startswith(f"{path}: missing, so the runs here are not scored")


# A bad row beside a good one


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def unknown_key(path: Path) -> None:
    files.write_json(path, {"format": 1, "surplus": 1})


GOOD = ("frozen-teacher", "random")
BAD = {
    "row.json is no JSON": (records.ROW, cut),
    "row.json is a list": (records.ROW, lambda path: path.write_text("[]")),
    "row.json lacks keys": (records.ROW, unknown_key),
    "runs.zip is cut off": (ARCHIVE, cut),
    "runs.zip is a text": (ARCHIVE, lambda path: path.write_text("runs")),
    "runs.zip is a folder": (ARCHIVE, lambda path: (path.unlink(), path.mkdir())),
    "leaks.json is of another form": (records.LEAKS, unknown_key),
    "a job beside the archive is no JSON": (
        f"start/all/{records.JOB}",
        lambda path: files.write_atomically(path, b"{"),
    ),
    "a record beside the archive is of another form": (
        f"start/all/lane-3/{records.RECORD}",
        unknown_key,
    ),
    "a check is of another form": (f"start/all/{records.RECHECKED}", unknown_key),
}


@pytest.fixture(scope="module")
def three(results, tmp_path_factory):
    """Rows at rest: two references and one that is no reference."""
    folder = tmp_path_factory.mktemp("three") / "results"
    shutil.copytree(results, folder)
    rows.score(rows.requested("bc-time", folder), tasks=["skill"])
    board.rescore(folder)
    return folder


@pytest.fixture
def with_bad(three, tmp_path, request):
    """A copy of these rows, one of which is bad, and its bad file."""
    folder = tmp_path / "results"
    shutil.copytree(three, folder)
    name, spoil = BAD[request.param]
    path = folder / BUDGET / "bc-time" / name
    spoil(path)
    return folder, path


@pytest.mark.parametrize("with_bad", BAD, indirect=True)
@pytest.mark.parametrize("command", ["rescore", "board"])
def test_a_bad_row_is_named_and_the_others_are_written(with_bad, command, capsys, tmp_path):
    results, path = with_bad
    out = results if command == "rescore" else tmp_path / "board"
    options = [] if command == "rescore" else ["--out", str(out), "--no-figures"]
    before = {name: (results / BUDGET / name / scores.SCORES).read_bytes() for name in GOOD}
    lines = (results / "table.csv").read_text().splitlines()
    assert cli.main([command, str(results), *options]) == 1
    *named, last = capsys.readouterr().err.splitlines()
    assert last == "understudy: 1 row left out, as named above"
    assert len(named) == 1
    assert named[0].startswith("understudy: left out: ")
    assert str(path) in named[0]
    kept = [line for line in lines if ",bc-time," not in line]
    assert len(kept) < len(lines)
    assert (out / "table.csv").read_text().splitlines() == kept
    assert {name: (results / BUDGET / name / scores.SCORES).read_bytes() for name in GOOD} == before


@pytest.mark.parametrize("with_bad", BAD, indirect=True)
def test_a_bad_row_fails_verification_and_the_others_are_verified(with_bad):
    results, path = with_bad
    found = {each.row.name: each for each in verification.verify(results, processes=1)}
    assert any(str(path) in text for text in found["bc-time"].failures)
    for name in GOOD:
        assert (found[name].runs, found[name].moves) == (16, 4_000)
        assert [text for text in found[name].failures if "not the table" not in text] == []
    with pytest.raises(CheckFailed):
        verification.require(list(found.values()))


@pytest.mark.parametrize("with_bad", BAD, indirect=True)
def test_a_caller_that_leaves_nothing_out_gets_the_error(with_bad):
    results, path = with_bad
    with pytest.raises(InputError) as caught:
        scores.score_all(results)
    assert str(path) in str(caught.value)
    told: list[str] = []
    left_out = Shortfall(told.append)
    assert [one.folder.name for one in scores.score_all(results, left_out)] == list(GOOD)
    assert len(told) == 1


def test_a_row_that_others_are_compared_with_counts_as_not_played(packed):
    """Random play is a reference of every row: without it there is no answer, and its row is named."""
    path = packed / BUDGET / "random" / ARCHIVE
    cut(path)
    told: list[str] = []
    (scored,) = scores.score_all(packed, Shortfall(told.append))
    assert scored.folder.name == "frozen-teacher"
    assert scored.verdicts[0].answer is None
    (line,) = told
    assert line.startswith(f"left out: {path}: not a whole ZIP archive")
    assert failures(packed)["frozen-teacher"][0].startswith(f"{path}: not a whole ZIP archive")


def score_frozen_teacher(results: Path) -> int:
    command = ["score", "frozen-teacher", "--benchmark", "darkroom-v1", "--task", "skill"]
    return cli.main([*command, "--out", str(results)])


def test_the_row_asked_for_is_shown_beside_a_bad_one(packed, capsys):
    other = packed / BUDGET / "other"
    shutil.copytree(packed / BUDGET / "random", other)
    cut(other / records.ROW)
    assert score_frozen_teacher(packed) == 1
    captured = capsys.readouterr()
    assert f"left out: {other / records.ROW}: " in captured.err
    assert captured.err.splitlines()[-1].startswith("understudy: 1 row left out")
    assert "frozen-teacher" in captured.out
    assert captured.out.splitlines()[-1] == f"next, replay the runs: understudy verify {packed}"


def test_a_bad_row_that_must_be_played_as_a_reference_is_refused_first(packed, capsys):
    path = packed / BUDGET / "random" / ARCHIVE
    cut(path)
    assert score_frozen_teacher(packed) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith(f"understudy: {path}: not a whole ZIP archive")
    assert captured.out == ""


def test_the_front_page_leaves_a_bad_row_out(packed, monkeypatch):
    monkeypatch.setattr(front_page, "SHOWN", ("darkroom-v1", "quick"))
    cut(packed / BUDGET / "random" / records.ROW)
    left_out = Shortfall(lambda line: None)
    shown = front_page.shown_rows(packed, left_out)
    assert [one.folder.name for one in shown] == ["frozen-teacher"]
    with pytest.raises(CheckFailed, match="1 row left out"):
        left_out.require_none()


def test_the_stored_results_are_few_files_and_small():
    """Whoever clones the repository gets them all, and a pull request of a row can be read."""
    sizes = [path.stat().st_size for path in stored_rows.RESULTS.rglob("*") if path.is_file()]
    assert len(sizes) <= 200
    assert sum(sizes) <= 60e6
