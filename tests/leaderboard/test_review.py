"""Review of pull requests: what git says of them, what is refused before a run is read, and its comment."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from support import ROOT, rows

from understudy import review as command
from understudy import weights_review
from understudy.leaderboard import commitments, review, review_comment
from understudy.leaderboard.pull_request import ADDED, CHANGED, REMOVED, Change, PullRequest
from understudy.leaderboard.review import Place, Rechecked, Review
from understudy.suite.errors import InputError, MachineError
from understudy.suite.harness import row_storage
from understudy.suite.io import files

ROW = "leaderboard/results/darkroom-v1/quick/mine"
ENTRY = "submissions/entries/darkroom-v1/mine"
FILES = {f"{ROW}/{name}": name for name in ("row.json", "scores.json", "runs.zip")}
HASH = "0123456789abcdef" * 4
OTHER_HASH = "f" * 64


class Repository:
    """A git repository with a branch `main`, where one row and one entry stand, and a branch on top of it."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")
        older = {f"{place.replace('mine', 'older')}/{name}": "" for place, name in PLACES}
        self.commit({**older, "leaderboard/results/table.md": "", "README.md": "", "a b\n\u00e4": "1"})
        self.git("switch", "--quiet", "--create", "mine")

    def git(self, *arguments):
        nobody = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        settings = {**os.environ, **nobody, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=self.path, env=settings, capture_output=True, encoding="utf-8", check=True
        )
        return done.stdout.strip()

    def commit(self, files, *removed):
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for name in removed:
            (self.path / name).unlink()
        self.git("add", "--all", ".")
        self.git("commit", "--quiet", "--message", "a commit")

    @property
    def pull(self):
        return PullRequest(self.path, "main")

    def refusals(self, files, *removed):
        """Return what is refused of a pull request with these files; none of its runs may be read."""
        self.commit(files, *removed)
        found = review.review_row(self.pull, never, largest=1000)
        assert not found.checked
        return found.refusals


PLACES = [(ROW, "row.json"), (ROW, "scores.json"), (ENTRY, "submission.json")]


def never(row, submission):
    raise AssertionError("rechecked")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")


def test_changes_are_those_since_the_branch_left_its_target(repository):
    repository.commit({"new": "12345", "a b\n\u00e4": "2"}, "README.md")
    repository.git("switch", "--quiet", "main")
    repository.commit({"later": ""})
    repository.git("switch", "--quiet", "mine")
    pull = repository.pull
    found = {change.path: (change.kind, change.size_bytes) for change in pull.changes()}
    assert found == {"new": (ADDED, 5), "a b\n\u00e4": (CHANGED, 1), "README.md": (REMOVED, 0)}
    assert [pull.content(change) for change in pull.changes() if change.kind == ADDED] == [b"12345"]
    assert pull.read(pull.head, "later") is None
    assert pull.read(pull.target, "later") == b""
    assert [change.path for change in pull.files_below(pull.target, ENTRY.replace("mine", "older"))] == [
        f"{ENTRY.replace('mine', 'older')}/submission.json"
    ]
    assert pull.files_below(pull.target, ENTRY) == []


def test_content_is_gits_and_not_that_of_the_working_tree(repository):
    repository.commit({"new": "committed"})
    (repository.path / "new").write_text("changed", encoding="utf-8")
    (change,) = repository.pull.changes()
    assert repository.pull.content(change) == b"committed"


@pytest.mark.parametrize("name", ["nothing", "--output=here", "main:README.md", ""])
def test_a_target_that_is_no_commit_is_refused(repository, name):
    with pytest.raises(InputError, match="expected a branch, a tag or a commit"):
        PullRequest(repository.path, name)


def test_branches_without_a_common_commit_are_refused(repository):
    repository.git("switch", "--quiet", "--orphan", "other")
    repository.commit({"new": ""})
    with pytest.raises(InputError, match="no commit in common"):
        PullRequest(repository.path, "main")


def test_a_folder_without_git_is_the_machines_failure(tmp_path, capsys):
    assert command.main(["main", "--repository", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {ROW.replace("mine", "older") + "/scores.json": "2"},
            "quick/older: this row is on the target branch",
        ),
        ({f"{ROW}/weights.bin": ""}, f"{ROW}/weights.bin: no file of a row"),
        ({f"{ROW}/deep/row.json": ""}, f"{ROW}/deep/row.json: no file of a row"),
        ({"leaderboard/results/table.md": "2"}, "leaderboard/results/table.md: the tables are written after"),
        ({"understudy/review.py": ""}, "understudy/review.py: outside of the row's folder"),
        ({".github/workflows/submission.yml": ""}, "submission.yml: outside of the row's folder"),
        ({f"{ENTRY.replace('mine', 'older')}/submission.json": "2"}, "outside of the row's folder"),
        ({f"{ENTRY.replace('darkroom', 'minatar')}/submission.json": ""}, "outside of the row's folder"),
        ({"leaderboard/results/darkroom-v1/quick/<b>/row.json": ""}, "<b>/row.json: outside of the row's"),
        ({"leaderboard/results/darkroom-v1/quick/a\nb/row.json": ""}, "a\nb/row.json: outside of the row's"),
        ({f"{ROW}/timing.json": "1" * 1001}, f"{ROW}/timing.json: 1,001 bytes, more than 1,000"),
    ],
)
def test_a_file_that_a_submission_may_not_change_is_refused_in_one_line(repository, files, said):
    (line,) = [line for line in repository.refusals({**FILES, **files}) if said in line]
    assert line


def test_a_row_that_is_removed_is_anothers(repository):
    found = repository.refusals({}, f"{ROW.replace('mine', 'older')}/row.json")
    assert any("quick/older: this row is on the target branch" in line for line in found)


def test_a_row_that_came_to_the_target_meanwhile_is_anothers(repository):
    repository.commit(FILES)
    repository.git("switch", "--quiet", "main")
    repository.commit({**FILES, "README.md": "2"})
    repository.git("switch", "--quiet", "mine")
    (line,) = review.review_row(repository.pull, never).refusals
    assert line.startswith(f"{ROW}: this row is on the target branch")


@pytest.mark.parametrize("name", ["random", "injected-0.7", "dqn-scratch"])
def test_a_controls_row_is_refused_before_anything_of_it_is_read(repository, name):
    """At commit 517a081c one with invented weights and code of its own passed the review."""
    place = ROW.replace("mine", name)
    told = rows.declaration(name, control=True, weights=f"hf://a/b@{HASH[:40]}")
    files = {f"{place}/row.json": json.dumps(told), f"{place}/scores.json": "", f"{place}/runs.zip": ""}
    (line,) = repository.refusals(files)
    assert line.startswith(f"{place}: a control's row")


def test_a_control_under_a_name_of_ones_own_is_refused(repository):
    declared = json.dumps(rows.declaration("mine", control=True))
    (line,) = repository.refusals({**FILES, f"{ROW}/row.json": declared})
    assert line.startswith(f"{ROW}/row.json: control is True, but 'mine' is no control's name")


def test_a_link_and_a_program_are_refused(repository):
    repository.commit(FILES)
    (repository.path / ROW / "timing.json").symlink_to("/etc/passwd")
    (repository.path / ROW / "runs.zip").chmod(0o755)
    found = repository.refusals({})
    assert [line.partition(":")[0].rpartition("/")[2] for line in found] == ["runs.zip", "timing.json"]
    assert all("expected a plain file" in line for line in found)


@pytest.mark.parametrize("inner", ["../../x", "all/../../x", ".git/hooks/x", "./x", "all//x", "a\nb"])
def test_a_path_that_leads_elsewhere_is_refused(repository, inner):
    """Git writes no such path into a working tree; a tree that a stranger made may hold it."""
    repository.commit(FILES)
    made = Change(f"{ENTRY}/{inner}", ADDED)
    changes = [*repository.pull.changes(), made]
    (line,) = review._refused_changes(repository.pull, changes, 1000)
    assert line == f"{ENTRY}/{inner}: outside of the row's folder; make it a pull request of its own"
    sound = [*repository.pull.changes(), Change(f"{ENTRY}/all/model.safetensors", ADDED)]
    assert list(review._refused_changes(repository.pull, sound, 1000)) == []


def test_one_row_is_brought_and_not_two_or_none(repository):
    assert repository.refusals({"notes.md": ""})[0].endswith("found none")
    found = repository.refusals({**FILES, f"{ROW}-two/row.json": ""})
    assert found[0].endswith(f"found {ROW}, {ROW}-two")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (ROW.replace("darkroom-v1", "darkroom-v9"), "darkroom-v9"),
        (ROW.replace("quick", "brief"), "brief"),
    ],
)
def test_a_row_of_no_benchmark_or_budget_is_refused(repository, place, said):
    (line,) = repository.refusals({f"{place}/{name}": "" for name in ("row.json", "scores.json", "runs.zip")})
    assert said in line
    assert "expected" in line or "unknown" in line or "no " in line


def test_a_row_without_its_archive_is_refused(repository):
    (line,) = repository.refusals({f"{ROW}/row.json": json.dumps(rows.declaration("mine"))})
    assert line.startswith(f"{ROW}: scores.json, runs.zip missing")


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ("{", "row.json"),
        (json.dumps({**rows.declaration("mine"), "extra": 1}), "extra"),
        (json.dumps({**rows.declaration("mine"), "weights": "hf://user/mine@main"}), "weights"),
        (json.dumps({**rows.declaration("mine"), "format": 99}), "this version reads 1"),
        (
            json.dumps(rows.declaration("mine")).replace('"priming_moves": 0', '"priming_moves": NaN'),
            "the number NaN",
        ),
    ],
)
def test_a_declaration_that_cannot_be_read_is_one_line_with_a_path_of_the_repository(
    repository, declared, said
):
    (line,) = repository.refusals({**FILES, f"{ROW}/row.json": declared})
    assert line.startswith(f"{ROW}/row.json: ")
    assert said in line


def committed(name="mine", **values):
    declared = {
        "identity": HASH,
        "benchmark": "darkroom-v1",
        "name": name,
        "decoding": "greedy",
        "track": "frozen",
        "priming_moves": 0,
        "declaration": HASH,
    }
    return {**declared, **values}


def rounds(*found):
    """Return the file of rounds, each a list of commitments, drawn if it comes with a salt."""
    listed = [
        {"round": number, "committed": entries, "salt": salt, "drawn": salt and "2026-01-01"}
        for number, (entries, salt) in enumerate(found, 1)
    ]
    return {commitments.PATH: json.dumps({"format": 1, "rounds": listed})}


SALT, OTHER_SALT = "a" * 32, "b" * 32
OLDER = committed("older", identity=OTHER_HASH)
FIRST = ([OLDER], SALT)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (rounds(([OLDER], OTHER_SALT)), "a drawn round differs"),
        (rounds(([OLDER, committed()], SALT)), "a drawn round differs"),
        (rounds(FIRST, ([OLDER], None)), "'older': ffffffffffff was committed to round 1, which is drawn"),
        (
            rounds(FIRST, ([committed("again", identity=OTHER_HASH, decoding="sample")], None)),
            "'again': ffffffffffff was committed to round 1, which is drawn",
        ),
        (rounds(FIRST, ([committed()], OTHER_SALT)), "a salt is drawn by a maintainer"),
        (rounds(FIRST, ([], None)), "nothing is committed"),
        (rounds(FIRST, ([committed("random")], None)), "is the name of a control"),
        (rounds(FIRST, ([committed("<b>")], None)), "expected a name of letters"),
        (rounds(FIRST, ([committed(benchmark="chess-v1")], None)), "chess-v1"),
        (
            rounds(FIRST, ([committed("early"), committed("early", identity="1" * 64)], None)),
            "found 0123456789ab and 111111111111; give one of them another name",
        ),
        ({commitments.PATH: "{"}, "leaderboard/rounds.json: "),
    ],
)
def test_a_round_is_only_added_to(repository, after, said):
    repository.git("switch", "--quiet", "main")
    repository.commit(rounds(FIRST))
    repository.git("switch", "--quiet", "--create", "round")
    repository.commit(after)
    assert commitments.is_commitment(repository.pull)
    (line,) = commitments.review(repository.pull).refusals
    assert said in line


def test_a_commitment_says_what_is_committed(repository, capsys):
    repository.git("switch", "--quiet", "main")
    repository.commit(rounds(FIRST, ([committed("early")], None)))
    repository.git("switch", "--quiet", "--create", "round")
    repository.commit(rounds(FIRST, ([committed("early"), committed()], None)))
    found = commitments.review(repository.pull)
    assert found.refusals == []
    assert found.checked == [("round 2", f"mine on darkroom-v1, {HASH}")]
    assert "best of" not in str(found.not_checked)
    assert command.main(["main", "--repository", str(repository.path)]) == 0
    assert "Nothing is refused" in capsys.readouterr().out
    repository.commit(rounds(FIRST, ([committed()], None)))
    (line,) = commitments.review(repository.pull).refusals
    assert "a commitment of the open round is gone" in line


def test_several_commitments_at_once_are_a_choice(repository):
    repository.git("switch", "--quiet", "main")
    repository.commit(rounds(FIRST))
    repository.git("switch", "--quiet", "--create", "round")
    both = [committed(), committed("mine-sampled", decoding="sample"), committed(benchmark="minatar-v1")]
    repository.commit(rounds(FIRST, (both, None)))
    found = commitments.review(repository.pull)
    assert found.refusals == []
    assert ("choice", "a row of one of these 3, without the others, is the best of 3") in found.not_checked


def test_the_file_of_the_rounds_stays_a_file(repository):
    repository.git("switch", "--quiet", "main")
    repository.commit(rounds(FIRST))
    repository.git("switch", "--quiet", "--create", "round")
    repository.commit({}, commitments.PATH)
    (line,) = commitments.review(repository.pull).refusals
    assert "expected a plain file" in line
    (repository.path / commitments.PATH).symlink_to("../README.md")
    repository.commit({})
    (line,) = commitments.review(repository.pull).refusals
    assert "expected a plain file" in line


def test_a_row_with_its_own_commitment_is_refused(repository):
    (line,) = repository.refusals({**FILES, **rounds(([committed()], None))})
    assert line.startswith("leaderboard/rounds.json: outside of the row's folder")


def test_the_comment_is_written_where_it_is_asked_for(repository, tmp_path, capsys):
    repository.commit({**FILES, "README.md": "2"})
    arguments = ["main", "mine", "--repository", str(repository.path)]
    assert command.main([*arguments, "--out", str(tmp_path / "here" / "comment.md")]) == 1
    assert capsys.readouterr().out == ""
    written = (tmp_path / "here" / "comment.md").read_text(encoding="utf-8")
    assert command.main(arguments) == 1
    assert capsys.readouterr().out == written


def test_git_that_is_missing_is_said(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MachineError, match="install git"):
        repository.pull  # noqa: B018


def test_a_place_is_read_from_a_path():
    assert review.place_of(f"{ROW}/row.json") == Place("darkroom-v1", "quick", "mine")
    assert Place("darkroom-v1", "quick", "mine").row == ROW
    assert Place("darkroom-v1", "quick", "mine").entry == ENTRY
    for other in (
        "leaderboard/results/table.md",
        ROW,
        f"{ROW}/",
        f"x/{ROW}/row.json",
        ROW.upper() + "/row.json",
    ):
        assert review.place_of(other) is None


HOSTILE = (
    "<img src=x onerror=alert(1)> @everyone @org/team [a](http://evil.example) **b** `c` ``` |\u202e\x1b[2J\n"
    "# heading\n<!-- <details> ![i](http://evil.example/i.png) www.evil.example https://evil.example"
)
MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table")
PLAIN = {"text", "code_inline", "softbreak", "strong_open", "strong_close"}


def tokens(text):
    """Return the kinds of the blocks and of what is in them."""
    found = MARKDOWN.parse(text)
    return [token.type for token in found], [inner for token in found for inner in token.children or ()]


@given(st.one_of(st.just(HOSTILE), st.text(max_size=80), st.text("`@<[]()!*_|\n ", max_size=30)))
def test_what_strangers_wrote_is_text_in_a_comment(text):
    found = Review(text, [text], [(text, text)], [(text, text)], None, [text], [text])
    comment = review_comment.markdown(found)
    blocks, inner = tokens(comment)
    assert not {"html_block", "fence", "code_block", "table_open", "blockquote_open"} & set(blocks)
    assert blocks.count("list_item_open") == 5
    assert blocks.count("heading_open") == 4
    assert {each.type for each in inner} <= PLAIN | {"html_inline"}
    assert {each.content for each in inner if each.type == "html_inline"} <= {"<!-- -->"}
    assert all("@" not in each.content[:-1] for each in inner if each.type == "text")  # nobody is notified
    assert "\x1b" not in comment
    assert "\u202e" not in comment


def test_a_line_of_code_shows_backticks():
    assert review_comment.code("a") == "`a`"
    _, inner = tokens(review_comment.code("a `` b ` c"))
    assert [(each.type, each.content) for each in inner] == [("code_inline", "a `` b ` c")]


def test_a_comment_is_no_longer_than_github_takes():
    table = "| a |\n| --- |\n" + "| 1 |\n" * 20_000
    found = Review("mine", ["x" * 2000] * 500, [], [("y", "z" * 2000)] * 500, table, ["note"])
    comment = review_comment.markdown(found)
    assert len(comment) < 65_536
    assert "and 480 more" in comment
    assert "the table is left out" in comment
    assert "**Refused**, for 500 reasons" in comment


def test_a_refusal_of_weights_is_not_a_check_that_was_made():
    found = Review("mine")
    row = review.RowFolder(ROOT, "darkroom-v1", "quick", "mine")
    declared = {"weights": f"hf://user/mine@{HASH[:40]}"}
    for answer, lists in (
        (Rechecked(True, "same"), (0, 1, 0)),
        (Rechecked(None, "too long"), (0, 1, 1)),
        (Rechecked(False, "other"), (1, 2, 1)),
    ):
        review._review_weights(found, row, declared, ROOT / "none", lambda row, name, said=answer: said)
        assert (len(found.refusals), len(found.checked), len(found.not_checked)) == lists


@pytest.mark.parametrize(
    ("reasons", "refusals", "answer", "said"),
    [
        ((), [], Rechecked(True, "they chose the moves"), "may be ranked"),
        ((), [], Rechecked(None, "played on cuda"), "not to be ranked yet: the weights were not asked"),
        ((), ["a difference"], Rechecked(True, "same"), "not ranked: it is refused"),
        (("self-reported",), [], Rechecked(None, "too long"), "not ranked: self-reported"),
    ],
)
def test_a_row_may_be_ranked_only_after_its_weights_were_asked(reasons, refusals, answer, said):
    found = Review("mine", refusals)
    row = review.RowFolder(ROOT, "darkroom-v1", "quick", "mine")
    review._review_weights(found, row, {"weights": "hf://a/b"}, ROOT / "none", lambda row, name: answer)
    assert review._rank_note(found, reasons).startswith(said)


def test_weights_that_cannot_be_fetched_now_leave_the_row_unranked():
    def unreachable(row, submission):
        raise MachineError("the Hub cannot be reached")

    found = Review("mine")
    row = review.RowFolder(ROOT, "darkroom-v1", "quick", "mine")
    review._review_weights(found, row, {"weights": "hf://a/b"}, ROOT / "none", unreachable)
    assert "a maintainer must recheck the row first" in review._rank_note(found, ())
    assert found.not_checked == [("weights", "the Hub cannot be reached")]


def test_a_row_that_says_cuda_is_told_that_its_weights_were_not_asked(copied):
    """A word in `job.json` is enough for that, so nothing but it speaks for the row."""
    row = review.RowFolder(copied / "darkroom-v1" / "quick" / "random", "darkroom-v1", "quick", "random")
    with row_storage.unpacked({row.path: False}):
        for path in row.path.glob("*/*/job.json"):
            files.write_json(path, {**files.read_json(path), "device": "cuda"})
    (row.path / "runs.zip").unlink(missing_ok=True)
    found = weights_review.recheck(row, "random")
    assert found.holds is None
    assert found.said.startswith("not asked: the row says that it was played on cuda")


def test_a_model_in_memory_has_no_weights_for_others():
    found = Review("mine")
    row = review.RowFolder(ROOT, "darkroom-v1", "quick", "mine")
    review._review_weights(found, row, {"in_memory": "lab.Model"}, ROOT / "none", never)
    (line,) = found.refusals
    assert "a model in memory, lab.Model" in line
