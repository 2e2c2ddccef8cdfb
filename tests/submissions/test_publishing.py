"""`submissions push`: the real client against a loopback Hub; cards are read by the Hub's own classes."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess

import pytest
import yaml
from huggingface_hub import EvalResultEntry, ModelCard, parse_eval_result_entries
from support import ROOT, embedded_runs, rows, sound_submissions
from support.hub_commands import content, last

from understudy import cli
from understudy.leaderboard import scores
from understudy.submissions import hub_results, hub_submissions, submission_format
from understudy.suite import benchmarks

REPO = "somebody/model"


@pytest.fixture
def folder(hub, make_submission, data, monkeypatch):
    """A sound submission in a folder, and the runs that it watched; the Hub is empty."""
    monkeypatch.setenv("UNDERSTUDY_DATA", str(data))
    return make_submission()


@pytest.fixture
def push(capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["submissions", "push", *map(str, arguments)])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out.strip(), shown.err

    return run


def scored(folder, results) -> dict:
    """Give the submission a row without runs; return the scores.json that a full row of the package has."""
    stored = json.loads(
        (ROOT / "leaderboard/results/darkroom-v1/quick/transformer/scores.json").read_text(encoding="utf-8")
    )
    row = results / "darkroom-v1" / "quick" / "mine"
    row.mkdir(parents=True)
    identity = submission_format.read(folder).identity
    declared = rows.declaration(
        "mine", identity=identity, benchmark_identity=benchmarks.load("darkroom-v1").identity
    )
    (row / "row.json").write_text(json.dumps(declared))
    (row / "scores.json").write_text(json.dumps({**stored, "row": "mine"}))
    return stored


def test_a_pushed_submission_is_one_commit_and_is_checked_by_its_name(hub, folder, push, capsys):
    code, name, err = push(folder, REPO, "--licence", "mit")
    assert code == 0, err
    assert name == f"hf://{REPO}@{hub.repos['model', REPO].main}"
    assert "mine under mit: 5 files to add, 0 to change, 0 to remove" in err
    assert "the model is new" in err
    stored = hub.files(REPO, "model")
    assert {path: stored[path] for path in content(folder)} == content(folder)
    assert stored.keys() - content(folder).keys() == {"README.md", "SHA256SUMS", ".gitattributes"}
    assert list(hub.repos["model", REPO].messages.values()) == ["initial commit", "mine"]
    assert cli.main(["check", name]) == 0
    assert capsys.readouterr().out.startswith("mine: would be accepted")
    assert content(hub_submissions.fetched(name)) == content(folder)
    code, again, err = push(folder, REPO, "--licence", "mit")
    assert (code, again) == (0, name)
    assert "nothing to do" in err


def test_the_manifest_is_that_of_sha256sum(hub, folder, push, tmp_path):
    push(folder, REPO)
    for path, data in hub.files(REPO, "model").items():
        (tmp_path / "copy" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / path).write_bytes(data)
    ran = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "copy", capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [f"{path}: OK" for path in sorted(content(folder))]


def test_dry_run_and_other_files(hub, folder, push):
    (folder / "README.md").write_text("mine")
    (folder / "secret.txt").write_text("private")
    code, out, err = push(folder, REPO, "--dry-run")
    assert (code, out) == (0, "")
    assert "left out, not part of the submission: README.md" in err
    assert "left out, not part of the submission: secret.txt" in err
    assert "no licence stated" in err
    assert not hub.repos
    push(folder, REPO)
    assert "secret.txt" not in hub.files(REPO, "model")
    assert hub.files(REPO, "model")["README.md"] != b"mine"


def card(hub) -> ModelCard:
    return ModelCard(hub.files(REPO, "model")["README.md"].decode())


def test_the_card_says_what_it_is_and_how_to_load_it(hub, folder, push):
    _, name, _ = push(folder, REPO, "--licence", "cc-by-4.0")
    found = card(hub)
    assert found.data.to_dict() == {
        "license": "cc-by-4.0",
        "library_name": "understudy",
        "pipeline_tag": "reinforcement-learning",
        "tags": [
            "understudy",
            "imitation-learning",
            "in-context-reinforcement-learning",
            "darkroom-v1",
            "bc",
        ],
        "model_name": "mine",
    }
    (script,) = re.findall(r"```python\n(.*?)```", found.text, re.DOTALL)
    loaded: dict = {}
    exec(script.replace(f"hf://{REPO}@<commit hash>", name), loaded)
    assert sum(each.numel() for each in loaded["imitator"].parameters()) > 0


def test_text_of_a_submission_stays_text(hub, folder, push):
    path = folder / "submission.json"
    declared = json.loads(path.read_text())
    hostile = "---\nlicense: mit\n---\n# big <script>x</script> | `a` [b](http://c)\x1b[31m"
    path.write_text(json.dumps({**declared, "description": hostile}))
    code, _, err = push(folder, REPO)
    assert code == 0, err
    assert "license" not in card(hub).data.to_dict()
    text = hub.files(REPO, "model")["README.md"].decode()
    assert r"\--- license: mit --- # big \<script\>x\</script\> \| \`a\` \[b\](http:\//c)\\x1b\[31m" in text
    assert "\x1b" not in text


def test_results_are_published_with_their_intervals(hub, folder, push, tmp_path):
    stored = scored(folder, tmp_path / "results")
    code, _, err = push(folder, REPO, "--results", tmp_path / "results")
    assert code == 0, err
    assert "results go into the card only" in err
    assert ".eval_results/understudy.yaml" not in hub.files(REPO, "model")
    skill, improvement, _ = stored["verdicts"]
    expected = {
        "skill_points_an_episode": skill["numbers"]["imitator"],
        "skill_normalised_agreement": skill["numbers"]["normalised agreement"],
        "improvement_normalised_gain": improvement["numbers"]["normalised gain"],
        "improvement_gain_in_points_an_episode": improvement["numbers"]["gain"],
    }
    found = {each.metric_type: each for each in card(hub).data.eval_results}
    for name, number in expected.items():
        each = found[name]
        assert each.metric_value == number["estimate"]
        interval = {key: each.metric_args[key] for key in ("confidence", "low", "high")}
        assert interval == {key: number[key] for key in ("confidence", "low", "high")}
        assert each.metric_args.keys() - interval.keys() == {"answer", "basis"}
        assert each.dataset_name == "darkroom-v1, budget quick, round dev, not ranked: self-reported"
        assert (each.task_type, each.dataset_type, each.dataset_config) == (
            "reinforcement-learning",
            "darkroom-v1",
            "quick",
        )
    shown = [line for line in card(hub).text.splitlines() if line.startswith("| quick | dev | Q1 skill")]
    assert shown[0] == (
        "| quick | dev | Q1 skill | no | points an episode | 0.9219 | 95 % interval \\[0.2907, 1.553\\] |"
    )
    assert "Rows of the round `dev` are self-reported" in card(hub).text
    assert "Its row at budget quick is not ranked: self-reported." in card(hub).text
    row = tmp_path / "results" / "darkroom-v1" / "quick" / "mine"
    before = hub.files(REPO, "model")["README.md"]
    assert push(folder, REPO, "--results", row)[0] == 0
    assert hub.files(REPO, "model")["README.md"] == before


def test_eval_results_name_the_dataset_that_was_watched(hub, folder, push, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    embedded_runs.unpack(runs, *sound_submissions.WATCHED)
    declared = sound_submissions.declaration(runs, "bc")
    (folder / "submission.json").write_text(json.dumps(declared))
    assert cli.main(["histories", "push", str(runs), "somebody/runs"]) == 0
    commit = hub.repos["dataset", "somebody/runs"].main
    monkeypatch.setenv("UNDERSTUDY_DATA", f"hf://datasets/somebody/runs@{commit}")
    stored = scored(folder, tmp_path / "results")
    scores_path = tmp_path / "results" / "darkroom-v1" / "quick" / "mine" / "scores.json"
    stored["horizons"]["improvement"]["demonstrated_to"] = 1000
    scores_path.write_text(json.dumps({**stored, "row": "mine"}))
    code, _, err = push(folder, REPO, "--results", tmp_path / "results")
    assert code == 0, err
    data_found = yaml.safe_load(hub.files(REPO, "model")[".eval_results/understudy.yaml"])
    entries = {entry.task_id: entry for entry in parse_eval_result_entries(data_found)}
    number = stored["verdicts"][0]["numbers"]["imitator"]
    assert entries["darkroom-v1.quick.skill_points_an_episode"] == EvalResultEntry(
        dataset_id="somebody/runs",
        dataset_revision=commit,
        task_id="darkroom-v1.quick.skill_points_an_episode",
        value=number["estimate"],
        notes="Q1 skill: no; points an episode, 95 % interval [0.2907, 1.553]; method claim, n = 16, m = 16, "
        "track frozen, greedy decoding; round dev, not ranked: self-reported",
    )
    assert entries["darkroom-v1.quick.improvement_log10_H50"].value == math.log10(1000)
    assert card(hub).data.datasets == ["somebody/runs"]
    assert f"- `hf://datasets/somebody/runs@{commit}`" in card(hub).text


def test_two_pushes_of_the_same_give_equal_bytes(hub, folder, push, tmp_path):
    scored(folder, tmp_path / "results")
    push(folder, REPO, "--results", tmp_path / "results")
    first = hub.files(REPO, "model")
    del hub.repos["model", REPO]
    push(folder, REPO, "--results", tmp_path / "results")
    assert hub.files(REPO, "model") == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.update(identity="0" * 64), "expected a row of mine with identity"),
        (lambda row: row.update(benchmark_identity="0" * 64), "scored under another darkroom-v1"),
        (lambda row: row.pop("round"), "expected the key 'round', found none"),
    ],
)
def test_results_of_something_else_are_not_published(hub, folder, push, tmp_path, change, message):
    scored(folder, tmp_path / "results")
    path = tmp_path / "results" / "darkroom-v1" / "quick" / "mine" / "row.json"
    row = json.loads(path.read_text())
    change(row)
    path.write_text(json.dumps(row))
    code, _, err = push(folder, REPO, "--results", tmp_path / "results")
    assert code == 2
    assert message in last(err)
    assert not hub.repos


def test_no_row_of_it_is_one_line(hub, folder, push, tmp_path):
    scored(folder, tmp_path / "results")
    (tmp_path / "results/darkroom-v1/quick/mine").rename(tmp_path / "results/darkroom-v1/quick/other")
    code, _, err = push(folder, REPO, "--results", tmp_path / "results")
    assert code == 2
    assert "no row of mine on darkroom-v1" in last(err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense",), "expected user/repo"),
        (("datasets/somebody/model",), "expected user/repo"),
        ((f"{REPO}@main",), "expected user/repo without a revision"),
        ((REPO, "--tag", "../x"), "expected a commit hash, tag or branch after '@'"),
        ((REPO, "--licence", "my own: one"), "expected a licence as the Hub names it"),
    ],
)
def test_wrong_arguments_are_one_line(hub, folder, push, arguments, message):
    code, _, err = push(folder, *arguments)
    assert code == 2
    assert message in last(err)
    assert hub.requests == []


def test_a_submission_that_would_not_be_accepted_is_not_pushed(hub, folder, push):
    (folder / "all" / "config.json").write_text("{}")
    code, _, err = push(folder, REPO)
    assert code == 2
    assert "config.json: expected the key 'architecture'" in last(err)
    assert hub.requests == []


def test_a_repository_of_another_kind_or_content_is_refused(hub, folder, push):
    hub.add(REPO, {"history.parquet": b"runs"})
    code, _, err = push(folder, REPO)
    assert code == 2
    assert "expected a model on the Hub or a new name, found a dataset; choose another" in last(err)
    hub.add("somebody/other", {"model.bin": b"precious"}, "model")
    code, _, err = push(folder, "somebody/other")
    assert code == 2
    assert "found model.bin and no SHA256SUMS; choose another" in last(err)
    assert hub.files("somebody/other", "model")["model.bin"] == b"precious"


def test_a_refused_token_and_a_lost_race_write_nothing(hub, folder, push, monkeypatch):
    hub.token = "hf_right"
    code, _, err = push(folder, REPO)
    assert code == 2
    assert "(401: Invalid username or password.); log in with `hf auth login`, or set HF_TOKEN" in last(err)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    code, _, err = push(folder, REPO)
    assert code == 2
    assert "the Hub refused the token (401: Invalid credentials in Authorization header)" in last(err)
    assert not hub.repos
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    hub.rivals.append((REPO, {"README.md": b"theirs"}))
    code, _, err = push(folder, REPO)
    assert code == 3
    assert "came in between, so nothing was written; look at it, then push again" in last(err)
    assert hub.files(REPO, "model").keys() == {"README.md", ".gitattributes"}


def test_a_checkpoint_that_is_gone_is_removed_in_the_same_commit(hub, folder, push):
    push(folder, REPO)
    path = folder / "submission.json"
    declared = json.loads(path.read_text())
    declared["checkpoints"][0]["folder"] = "other"
    path.write_text(json.dumps(declared))
    shutil.move(folder / "all", folder / "other")
    code, name, err = push(folder, REPO, "--tag", "v2")
    assert code == 0, err
    assert "removed from the Hub, not in the folder: all/model.safetensors" in err
    assert "all/config.json" not in hub.files(REPO, "model")
    assert hub.repos["model", REPO].tags == {"v2": name[-40:]}


def test_the_name_of_scores_is_that_of_the_leaderboard():
    assert hub_results.SCORES == scores.SCORES
