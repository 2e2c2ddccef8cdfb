"""`docs/submitting.md` from its first command to its last, on a loopback Hub and in a checkout of its own."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml
from support import ROOT
from support.checkouts import RESULTS, Checkout, Session
from support.loopback_hub import LoopbackHub

PAGE = (ROOT / "docs" / "submitting.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
BUDGET = RESULTS / "darkroom-v1" / "quick"
ROW = BUDGET / "mine"
SKILL = " --budget quick --task skill"  # the other questions take minutes
PINNED = r"hf://user/mine@[0-9a-f]{40}"


def shown(comment: str) -> str:
    """Return Markdown without its escapes."""
    return re.sub(r"\\([\\`*_<>\[\]|&~$/.+=)#-])", r"\1", comment)


class Walk:
    """The commands of the page, run one after the other."""

    def __init__(self, checkout: Checkout, hub: LoopbackHub, replaced: dict[str, str]) -> None:
        self.checkout, self.hub, self.replaced = checkout, hub, replaced
        self.session = Session(checkout, hub)
        self.outputs: list[
            tuple[str, str]
        ] = []  # each command, as it stands on the page, and what it printed

    def block(self, block: str) -> None:
        for command in block.splitlines():
            line = command
            for text, other in self.replaced.items():
                line = line.replace(text, other)
            program, *arguments = shlex.split(line)
            if program == "git":
                self.outputs.append((command, self.checkout.git(*arguments)))
                continue
            if program == "python":
                assert arguments[:2] == ["-m", "understudy.review"]
                program, arguments = "review", arguments[2:]
            code, out, err = self.session.run(program, *arguments)
            partial = arguments[0] == "verify" and "improvement and transfer not played" in err  # SKILL alone
            assert code == partial, f"{command}\n{out}\n{err}"
            self.outputs.append((command, out))
            if "submissions push" in command:
                assert re.fullmatch(PINNED, out.strip())
                self.replaced["hf://user/mine@<commit hash>"] = out.strip()

    def output(self, *parts: str) -> list[str]:
        """Return what the commands with all of these parts printed."""
        return [out for command, out in self.outputs if all(part in command for part in parts)]

    def review(self, target: str = "origin/main") -> tuple[int, list[str], str]:
        """Return the exit code of a review, its refusals and the whole comment, as a reader sees it."""
        code, comment, err = self.session.run("review", target, "--processes", "1")
        assert err == ""
        return code, re.findall(r"^- `+ ?(.*?) ?`+$", comment, re.MULTILINE), shown(comment)


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub().serve() as hub:
        yield hub


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("made")).make()


@pytest.fixture(scope="module")
def walked(made, hub, tmp_path_factory):
    """The page, walked to its end; its first block makes the checkout that is there."""
    walk = Walk(made.copied(tmp_path_factory.mktemp("walked")), hub, {" --budget quick": SKILL})
    for block in BLOCKS[1:]:
        walk.block(block)
    yield walk
    walk.session.close()


@pytest.fixture
def branch(walked):
    """A branch of the test's own that begins with the row, and `origin/main` as the page left it."""
    git = walked.checkout.git
    git("switch", "--quiet", "--create", "trial", "mine-darkroom-v1")
    yield walked
    git("switch", "--quiet", "--discard-changes", "mine-darkroom-v1")
    git("branch", "--quiet", "-D", "trial")


def changed(walk: Walk, path: Path, change) -> None:
    """Change a JSON file of the checkout and commit it."""
    file = walk.checkout.path / path
    value = json.loads(file.read_text(encoding="utf-8"))
    change(value)
    file.write_text(json.dumps(value), encoding="utf-8")
    walk.checkout.commit("a change", path)


def test_the_page_installs_first():
    assert BLOCKS[0].splitlines()[0].startswith("git clone ")
    assert "pip install -e ." in BLOCKS[0]
    assert len(BLOCKS) == 7


def test_the_pull_request_holds_the_rows_folder_and_nothing_else(walked):
    git = walked.checkout.git
    found = git("diff", "--name-only", "origin/main...origin/mine-darkroom-v1").splitlines()
    assert found == [str(ROW / name) for name in ("row.json", "runs.zip", "scores.json", "timing.json")]
    assert git("status", "--short", "--untracked-files=no") == ""
    row = json.loads((walked.checkout.path / ROW / "row.json").read_text(encoding="utf-8"))
    assert row["round"] == "2"
    assert re.fullmatch(PINNED, row["weights"])


def test_the_round_was_committed_then_drawn_then_applied(walked):
    git = walked.checkout.git
    found = git(
        "log", "--format=%s", "--reverse", "origin/main", "--", "leaderboard/rounds.json"
    ).splitlines()
    assert found == ["a checkout", "rounds: mine", "rounds: the salt of round 2"]
    (before,) = walked.output("rounds commit")
    (drawn,) = walked.output("rounds draw")
    assert before.startswith("round 2: ")
    rounds = json.loads(git("show", "origin/main:leaderboard/rounds.json"))["rounds"]
    assert [each["round"] for each in rounds] == [1, 2]
    assert f"salt {rounds[1]['salt']}, drawn {rounds[1]['drawn']}" in drawn
    assert [each["name"] for each in rounds[1]["committed"]] == ["mine"]


def test_the_comment_of_the_commitment_says_what_was_committed(walked):
    first, _ = walked.output("understudy.review")
    assert "Nothing is refused" in first
    assert "**round 2**: mine on darkroom-v1" in first


def test_the_comment_of_the_row_has_its_place_and_what_was_checked(walked):
    _, printed = walked.output("understudy.review")
    comment = shown(printed)
    assert "Nothing is refused" in comment
    lines = [line.split("|")[1].strip() for line in comment.splitlines() if line.startswith("| ")]
    assert sorted(lines[2:]) == ["**mine**", "older"]
    assert "\n- may be ranked\n" in comment
    assert re.search(r"\*\*replay\*\*: 16 runs of 4,000 moves .* no difference", comment)
    assert re.search(
        r"\*\*weights\*\*: hf://.* chose the moves of the logs: [\d,]+ moves, in windows", comment
    )
    assert "round 2, whose salt was drawn on" in comment
    for task in ("improvement", "transfer"):
        assert f"**{task}**: its runs were not played" in comment


def test_a_changed_number_is_refused(branch):
    scores = json.loads((branch.checkout.path / ROW / "scores.json").read_text(encoding="utf-8"))
    name = next(iter(scores["verdicts"][0]["numbers"]))

    def changes(scores):
        scores["verdicts"][0]["numbers"][name]["estimate"] = 99.5

    changed(branch, ROW / "scores.json", changes)
    code, (line,), comment = branch.review()
    assert code == 1
    assert line.startswith(f"{ROW}/scores.json: verdicts[0].numbers.{name}.estimate is 99.5, the runs give ")
    assert "**weights**: not given the logs" in comment


def test_anothers_changed_row_is_refused(branch):
    changed(branch, BUDGET / "older" / "scores.json", lambda scores: scores.update(state_bytes=1))
    code, lines, comment = branch.review()
    assert code == 1
    assert lines[0].startswith("expected one row") or lines[0].startswith(f"{BUDGET}/older: this row is on")
    assert any(line.startswith(f"{BUDGET}/older: this row is on the target branch") for line in lines)
    assert "### The row as it would stand" not in comment


def test_missing_weights_are_refused(branch):
    changed(branch, ROW / "row.json", lambda row: row.pop("weights"))
    code, (line,), _ = branch.review()
    assert code == 1
    assert line.startswith(f"{ROW}/row.json: expected weights that others can fetch; found nowhere named")


def test_weights_that_are_not_on_the_hub_are_refused(branch):
    changed(branch, ROW / "row.json", lambda row: row.update(weights=f"hf://user/other@{'0' * 40}"))
    code, (line,), _ = branch.review()
    assert code == 1
    assert line.startswith("weights: hf://user/other@")


def test_weights_of_another_submission_are_refused(branch):
    entry = Path("submissions", "entries", "darkroom-v1")
    shutil.copytree(branch.checkout.path / entry / "older", branch.checkout.path / entry / "mine")
    changed(branch, entry / "mine" / "submission.json", lambda declared: declared.update(name="mine"))
    branch.checkout.commit("an entry", entry / "mine")
    code, (line,), _ = branch.review()
    assert code == 1
    assert re.match(
        r"weights: submissions/entries/darkroom-v1/mine: .* whose identity is [0-9a-f]{64}; found", line
    )


def test_a_row_of_an_identity_that_was_not_committed_is_refused(branch):
    git, rounds = branch.checkout.git, Path("leaderboard", "rounds.json")
    git("switch", "--quiet", "--create", "without", "origin/main")
    changed(
        branch, rounds, lambda found: found["rounds"][1].update(committed=found["rounds"][0]["committed"])
    )
    git("switch", "--quiet", "--create", "trial-two")
    git("cherry-pick", "mine-darkroom-v1")
    code, lines, comment = branch.review("without")
    git("switch", "--quiet", "trial")
    git("branch", "--quiet", "-D", "without", "trial-two")
    assert code == 1
    assert any(
        re.search(
            r"row.json: mine: expected a submission as it was committed to round 2 .* was not committed", line
        )
        for line in lines
    )
    assert "**weights**: not given the logs" in comment


@pytest.mark.long
def test_a_row_of_no_round_is_taken_and_not_ranked(branch):
    """Nothing is replayed again for it: the same weights, played under the salt that everyone knows."""
    git = branch.checkout.git
    git("rm", "-r", "--quiet", str(ROW))
    shutil.rmtree(branch.checkout.path / ROW, ignore_errors=True)
    name = branch.replaced["hf://user/mine@<commit hash>"]
    options = ["--benchmark", "darkroom-v1", *shlex.split(SKILL), "--out", str(RESULTS)]
    assert branch.session.run("understudy", "score", name, *options)[0] == 0
    branch.checkout.commit("under dev", ROW)
    git("restore", str(RESULTS))
    code, lines, comment = branch.review()
    assert (code, lines) == (0, [])
    assert "not ranked: self-reported" in comment
    assert "**round**: its seeds are of the round dev" in comment


def test_markup_in_a_name_is_refused_and_only_text(branch):
    hostile = "<img src=x> @everyone [a](http://evil.example) `b`"
    changed(branch, ROW / "row.json", lambda row: row.update(name=hostile, architecture=hostile))
    code, (line,), comment = branch.review()
    assert code == 1
    assert line == (
        f"{ROW}/row.json: expected name 'mine', as its folder says; found {hostile!r}; store the row under "
        "its own name, or remove it"
    )
    outside = comment.replace(line, "")
    for part in ("<img", "@everyone", "[a]", "evil.example"):
        assert part not in outside


def test_markup_elsewhere_in_a_declaration_is_only_text(branch):
    """The model's class stands in a note below the table, which is Markdown."""
    hostile = "<img src=x> @everyone [a](http://evil.example)"
    changed(branch, ROW / "row.json", lambda row: row.update(in_memory=hostile))
    _, comment, _ = branch.session.run("review", "origin/main", "--processes", "1")
    assert "\\<img src=x\\> @<!-- -->everyone \\[a\\](http:\\//evil.example)" in comment


def test_a_space_has_the_head_that_the_hub_reads():
    (head,) = re.findall(r"^```yaml\n---\n(.*?)---\n```", PAGE, re.DOTALL | re.MULTILINE)
    from huggingface_hub import SpaceCard

    card = SpaceCard(f"---\n{head}---\n").data
    assert (card.sdk, card.app_file, card.license) == ("static", "index.html", "mit")
    assert len(yaml.safe_load(head)["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {card.colorFrom, card.colorTo} <= colours


@pytest.mark.long
def test_the_page_as_a_user_types_it(made, hub, tmp_path):
    """Each block in a shell, every command a process of its own, all three questions."""
    checkout = made.copied(tmp_path)
    programs = checkout.beside / "bin"
    programs.mkdir()
    for name, module in (("understudy", "-m understudy"), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n', encoding="utf-8")
        program.chmod(0o755)
    pinned = "hf://user/mine@<commit hash>"
    said = ""
    for block in BLOCKS[1:]:
        typed = block.replace("hf://user/mine@<commit hash>", pinned)
        script = f"set -e\nPATH={shlex.quote(str(programs))}:$PATH\n{typed}"
        done = checkout.shell(script, hub)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        said += done.stdout
        pinned = next(iter(re.findall(PINNED, done.stdout)), pinned)
    assert re.search(r"\*\*replay\*\*: 64 runs of 328,000 moves .* no difference", said)
    assert "Not checked\n\n- **training**" in said
