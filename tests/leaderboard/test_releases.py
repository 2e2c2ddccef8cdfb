"""Releases: frozen once, numbered, compared with the present rows, refused where rows do not hold."""

from __future__ import annotations

import hashlib
import json
import subprocess

import pytest
from support import ROOT, rows

import understudy
from understudy import cli
from understudy.leaderboard import releases, scores, verification
from understudy.suite import benchmarks
from understudy.suite.errors import InputError
from understudy.suite.harness import records
from understudy.suite.io import files

ROW = "darkroom-v1/quick/random"


@pytest.fixture(autouse=True)
def committed_elsewhere(monkeypatch):
    """This checkout may have changes; they are another test's subject."""
    monkeypatch.setattr(releases, "ELSEWHERE", ())


def release(results, number, *options):
    return cli.main(["release", str(number), "--results", str(results), *options])


@pytest.fixture
def frozen(copied, capsys):
    """Rows, and the path of their release 1."""
    assert release(copied, 1, "--date", "2026-12-01") == cli.DONE
    path = copied.parent / "releases" / "1.json"
    assert capsys.readouterr().out == f"{path}: release 1, 2026-12-01; commit this file to git\n"
    return copied, path


def changed(path, change):
    """Change a release's file as somebody would who also makes its own hash hold."""
    document = json.loads(path.read_text())
    change(document)
    document.pop("sha256")
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    document["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(document))


def failures(results):
    return [text for each in verification.verify(results, processes=1) for text in each.failures]


def test_a_release_holds_rows_data_and_protocol(frozen, tmp_path):
    results, path = frozen
    document = json.loads(path.read_text())
    assert (document["release"], document["date"], document["format"]) == (1, "2026-12-01", 1)
    assert document["understudy"] == understudy.__version__
    protocol = (ROOT / "docs" / "protocol.md").read_bytes()
    assert document["protocol_sha256"] == hashlib.sha256(protocol).hexdigest()
    pins = (ROOT / "suite" / "benchmarks" / "darkroom-v1.data.json").read_bytes()
    identity = benchmarks.load("darkroom-v1").identity
    expected = {"identity": identity, "data_sha256": hashlib.sha256(pins).hexdigest()}
    assert document["benchmarks"] == {"darkroom-v1": expected}
    assert [row["name"] for row in document["rows"]] == ["frozen-teacher", "random"]
    row, declared = document["rows"][1], json.loads((results / ROW / "row.json").read_text())
    assert (row["identity"], row["round"], row["control"]) == (declared["identity"], declared["round"], True)
    runs = rows.copy(results / ROW, tmp_path / "row") / "start" / "control"
    found = [json.loads((runs / f"lane-{index}" / "record.json").read_text()) for index in range(16)]
    listed = json.dumps([each["record_sha256"] for each in found], separators=(",", ":"))
    job = row["jobs"]["start/control"]
    assert job == {"runs": 16, "sha256": hashlib.sha256(listed.encode()).hexdigest()}
    stored = json.loads((results / ROW / "scores.json").read_text())["verdicts"]
    for found, kept in zip(row["verdicts"], stored, strict=True):
        assert {name: kept[name] for name in found if name != "shown"} == {
            name: value for name, value in found.items() if name != "shown"
        }


def test_a_release_is_never_written_again_and_numbers_follow(frozen, capsys):
    results, path = frozen
    before = path.read_bytes()
    assert release(results, 1) == cli.BAD_INPUT
    assert "release 1 is frozen and never changes" in capsys.readouterr().err
    assert release(results, 3) == cli.BAD_INPUT
    assert "expected 2, the next number; found 3" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert release(results, 2, "--date", "2026-12-02") == cli.DONE
    assert releases.numbers(path.parent) == [1, 2]
    assert failures(results) == []


def test_rows_that_are_what_they_were_pass_the_check(frozen, capsys):
    results, _ = frozen
    assert release(results, 1, "--check") == cli.DONE
    assert capsys.readouterr().out == "release 1 of 2026-12-01: its 2 rows are what they were\n"
    assert release(results, 2, "--check") == cli.BAD_INPUT
    assert "no release 2; there are: 1" in capsys.readouterr().err


def test_a_row_that_is_gone_or_replaced_fails_the_check(frozen, capsys):
    results, path = frozen
    other = results / ROW / records.ROW
    files.write_json(other, {**files.read_json(other), "round": "dev", "identity": "0" * 64})
    changed(path, lambda document: document["rows"][0].update(name="gone"))
    assert release(results, 1, "--check") == cli.CHECK_FAILED
    out, err = capsys.readouterr()
    first, second, *_ = out.splitlines()
    assert first == "darkroom-v1 quick gone: no such row"
    assert second.startswith("darkroom-v1 quick random: another submission")
    assert "release 1: 2 differences" in err
    assert "rows added since: 1" in err


def test_another_protocol_or_other_data_fail_the_check(frozen, capsys, monkeypatch):
    results, path = frozen
    changed(path, lambda document: document.update(protocol_sha256="0" * 64))
    changed(path, lambda document: document["benchmarks"]["darkroom-v1"].update(data_sha256="0" * 64))
    assert release(results, 1, "--check") == cli.CHECK_FAILED
    assert capsys.readouterr().out == (
        "docs/protocol.md: another text\ndarkroom-v1: other pinned teacher data\n"
    )
    assert failures(results) == [], "a release of an earlier protocol is sound"


def test_verify_names_an_edited_release_and_answers_that_its_runs_do_not_give(frozen):
    results, path = frozen
    sound = path.read_text()
    path.write_text(sound.replace('"2026-12-01"', '"2026-12-09"'))
    (failure,) = failures(results)
    assert failure.startswith(f"{path}: not the content that was frozen as release 1; restore it")
    path.write_text(sound)
    changed(path, lambda document: document["rows"][1]["verdicts"][0].update(answer="yes", reason=None))
    assert failures(results) == [f"{path}: darkroom-v1 quick random: other answers than its runs give"]
    path.rename(path.with_name("2.json"))
    (failure,) = failures(results)
    assert "expected release 1, found 2" in failure


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document.update(format=2), "format"),
        (lambda document: document.update(extra=1), "extra"),
        (lambda document: document["rows"][0].pop("identity"), "identity"),
        (lambda document: document["rows"][0]["verdicts"][0].update(n=1.5), "n"),
    ],
)
def test_a_malformed_release_is_one_line(frozen, change, said):
    _, path = frozen
    changed(path, change)
    with pytest.raises(InputError, match=said) as raised:
        releases.load(1, path.parent)
    assert "\n" not in str(raised.value)
    path.write_text("{")
    with pytest.raises(InputError, match="not readable JSON"):
        releases.load(1, path.parent)


def test_rows_that_fail_verification_or_cannot_be_read_are_refused(copied, capsys):
    path = copied / ROW / scores.SCORES
    path.write_text(path.read_text().replace('"no"', '"yes"', 1))
    assert release(copied, 1) == cli.CHECK_FAILED
    assert str(path) in capsys.readouterr().err
    (copied / ROW / records.ROW).write_text("{}")
    assert release(copied, 1) == cli.CHECK_FAILED
    last = capsys.readouterr().err.splitlines()[-1]
    assert str(copied / ROW / records.ROW) in last
    assert not (copied.parent / "releases").exists()


def test_rows_that_are_not_committed_are_refused(copied, capsys):
    def git(*arguments):
        named = ["-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        subprocess.run(["git", "-C", str(copied), *named], check=True, capture_output=True)

    git("init")
    assert release(copied, 1) == cli.CHECK_FAILED
    assert "differs from the commit" in capsys.readouterr().err
    git("add", "-A")
    git("commit", "-m", "rows")
    assert release(copied, 1) == cli.DONE
    path = copied / ROW / records.ROW
    path.write_text(path.read_text() + "\n")
    assert release(copied, 2) == cli.CHECK_FAILED
    assert f"{path}: differs from the commit; commit it before the release" in capsys.readouterr().err


def test_what_is_frozen_elsewhere_is_in_the_checkout():
    for place in ("docs/protocol.md", "suite/benchmarks", "leaderboard/rounds.json"):
        assert (ROOT / place).exists()


@pytest.mark.parametrize("date", ["yesterday", "2026-13-01", "1.12.2026"])
def test_a_wrong_date_is_one_line(copied, date, capsys):
    assert release(copied, 1, "--date", date) == cli.BAD_INPUT
    assert f"--date: expected YYYY-MM-DD, found '{date}'" in capsys.readouterr().err
