"""The workflows: who may write, whose code runs, and what is posted on a pull request."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT

from understudy import review as review_command
from understudy.leaderboard import commitments, review

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.yml")}
POST = ROOT / ".ci" / "post-review"
SHA = "0123456789abcdef" * 2 + "01234567"
RUN = "https://github.example/runs/7"


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in WORKFLOWS[name]["jobs"].values() for step in job["steps"]]


def runs(name: str) -> list[str]:
    return [step["run"] for step in steps(name) if "run" in step]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_unless_a_job_asks_for_more(name):
    assert WORKFLOWS[name]["permissions"] in ({"contents": "read"}, {})
    writers = {
        (job, scope)
        for job, each in WORKFLOWS[name]["jobs"].items()
        for scope, access in each.get("permissions", {}).items()
        if access == "write"
    }
    allowed = {
        "site": {("publish", "pages"), ("publish", "id-token")},
        "submission-comment": {("comment", "pull-requests")},
    }
    assert writers == allowed.get(name, set())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_text_of_an_event_gets_into_a_shell_or_a_checkout_with_a_token(name):
    triggers = WORKFLOWS[name][True]  # YAML 1.1 reads `on` as a boolean
    assert "pull_request_target" not in triggers
    for step in steps(name):
        assert "${{" not in step.get("run", "")
        assert re.fullmatch(r"actions/[a-z-]+@v\d+|", step.get("uses", ""))
        if "actions/checkout" in step.get("uses", "") and name not in ("ci", "lowest"):
            assert step["with"]["persist-credentials"] is False
    assert all(job["timeout-minutes"] <= 90 for job in WORKFLOWS[name]["jobs"].values())


def test_the_review_runs_the_code_of_the_target_and_reads_the_pull_request():
    checkout, *others = [step for step in steps("submission") if "actions/checkout" in step.get("uses", "")]
    assert not others
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    fetch, install, work = runs("submission")
    assert fetch.split()[:2] == ["git", "fetch"]
    assert install.startswith("python -m pip install -e . ")
    words = work.replace('"', "").split()
    assert words[:5] == ["python", "-m", "understudy.review", "$BASE", "$HEAD"]
    given = review_command._parser().parse_args(words[3:])
    assert str(given.out) == steps("submission")[-1]["with"]["path"]
    assert not [command for command in runs("submission") if "checkout" in command or "merge" in command]
    paths = WORKFLOWS["submission"][True]["pull_request"]["paths"]
    assert paths == [f"{review.RESULTS}/**", commitments.PATH]


def test_the_comment_is_posted_by_another_workflow_after_the_review():
    trigger = WORKFLOWS["submission-comment"][True]
    assert trigger == {
        "workflow_run": {"workflows": [WORKFLOWS["submission"]["name"]], "types": ["completed"]}
    }
    (command,) = runs("submission-comment")
    assert command.split() == [".ci/post-review", "review/comment.md"]
    assert POST.is_file()
    assert os.access(POST, os.X_OK)
    download = next(step for step in steps("submission-comment") if "download" in step.get("uses", ""))
    upload = next(step for step in steps("submission") if "upload" in step.get("uses", ""))
    assert download["with"]["name"] == upload["with"]["name"]


def test_the_site_is_the_docs_and_the_board():
    assert runs("site") == [
        "make docs",
        ".venv/bin/understudy board leaderboard/results --out site/leaderboard "
        "--film darkroom-v1/full/transformer-many-runs --film minatar-v1/tenth/transformer",
    ]
    assert next(step for step in steps("site") if "pages-artifact" in step.get("uses", ""))["with"] == {
        "path": "site"
    }


class Hub:
    """GitHub as `gh` shows it: a program of that name that answers from a file and keeps what it posts."""

    GH = """#!/usr/bin/env python3
import json, os, re, subprocess, sys
folder, given = os.environ["FAKE_GH"], sys.argv[1:]
state = json.load(open(f"{folder}/state.json"))
if given[0] == "api":
    path = next(each for each in given[1:] if each.startswith("repos/"))
    query = given[given.index("--jq") + 1]
    answer = next(value for key, value in state.items() if re.fullmatch(key, path))
    sys.exit(subprocess.run(["jq", "-r", query], input=json.dumps(answer), text=True).returncode)
assert given[:2] == ["pr", "comment"] and "--edit-last" in given and "--create-if-none" in given, given
body = open(given[given.index("--body-file") + 1], "rb").read()
open(f"{folder}/posted-{given[2]}", "wb").write(body)
"""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, ["leaderboard/results/darkroom-v1/quick/mine/row.json"]
        self.head_later = SHA
        program = folder / "bin" / "gh"
        program.parent.mkdir()
        program.write_text(self.GH, encoding="utf-8")
        program.chmod(0o755)

    def post(self, comment: bytes | None, sha: str = SHA) -> dict[str, str]:
        """Run the script on a comment; return what it posted, by pull request."""
        listed = [{"filename": name} if isinstance(name, str) else name for name in self.files]
        state = {
            r"repos/us/here/pulls\?.*": [
                {"number": 4, "head": {"sha": "f" * 40}},
                {"number": 5, "head": {"sha": SHA}},
            ],
            r"repos/us/here/pulls/5/files\?.*": listed,
            r"repos/us/here/pulls/5": {"head": {"sha": self.head_later}},
        }
        (self.folder / "state.json").write_text(json.dumps(state), encoding="utf-8")
        path = self.folder / "comment.md"
        if comment is not None:
            path.write_bytes(comment)
        environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "FAKE_GH": str(self.folder),
            "GH_REPO": "us/here",
            "HEAD_SHA": sha,
            "RUN_URL": RUN,
        }
        done = subprocess.run([POST, path], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == (0 if sha == SHA else 2), done.stderr
        found = self.folder.glob("posted-*")
        return {each.name: each.read_bytes().decode("utf-8") for each in found}


@pytest.fixture
def github(tmp_path):
    if not shutil.which("jq") or not shutil.which("iconv"):
        pytest.skip("needs jq and iconv, as GitHub's machines have them")
    return Hub(tmp_path)


def test_a_submissions_review_is_posted_on_the_pull_request_of_its_commit(github):
    posted = github.post(b"## mine\n\n- a line\n")
    assert posted == {"posted-5": f"Review of {SHA} by [this run]({RUN}).\n\n## mine\n\n- a line\n"}


@pytest.mark.parametrize(
    "name",
    [
        ".github/workflows/submission.yml",
        "leaderboard/review.py",
        "leaderboard/results",
        "leaderboard/rounds.json.py",
        "x/leaderboard/results/a",
        ".github/a\nleaderboard/results/a",
        {
            "filename": "leaderboard/results/a/b/c/row.json",
            "previous_filename": ".github/workflows/submission.yml",
        },
    ],
)
def test_a_review_that_a_pull_request_may_have_written_itself_is_not_posted(github, name):
    github.files.append(name)
    (text,) = github.post(b"all is well").values()
    assert "all is well" not in text
    assert "changes files besides a submission's" in text


def test_a_commitment_and_an_entry_are_submissions_files(github):
    github.files += ["leaderboard/rounds.json", "submissions/entries/darkroom-v1/mine/submission.json"]
    assert github.post(b"all is well")["posted-5"].endswith("all is well")


def test_too_many_files_to_list_are_not_trusted(github):
    github.files *= 3000
    assert "all is well" not in github.post(b"all is well")["posted-5"]


def test_an_untrusted_comment_is_cut_and_without_control_characters(github):
    text = github.post(b"\xff\x1b[2J" + b"\x00" + "ä".encode() * 40_000)["posted-5"]
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "[2Jä" in text
    assert len(text.encode()) < 60_300


def test_a_review_that_failed_is_said(github):
    assert "did not finish" in github.post(None)["posted-5"]
    (github.folder / "comment.md").symlink_to("/etc/passwd")
    assert "did not finish" in github.post(None)["posted-5"]


def test_nothing_is_posted_once_the_branch_has_moved_on(github):
    github.head_later = "e" * 40
    assert github.post(b"all is well") == {}


def test_a_commit_that_is_none_is_refused(github):
    assert github.post(b"all is well", sha='" or true or "') == {}
