"""`understudy export`: all stored rows in each format, read by others' readers, and its refusals."""

from __future__ import annotations

import csv
import json
import math
import shutil

import jsonschema
import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries
from support import ROOT, rows

from understudy import cli, exports
from understudy.leaderboard import stored_rows
from understudy.submissions import hub_results
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

RESULTS = stored_rows.RESULTS
SCHEMA = json.loads((ROOT / "tests/support/every-eval-ever-0.3.0.schema.json").read_text(encoding="utf-8"))
DATASET = f"hf://datasets/somebody/runs@{'a' * 40}"
MEASURES = ("points", "normalised_gain", "end_above_teacher_start", "agreement", "normalised_agreement")


def export(*arguments: object) -> int:
    return cli.main(["export", *map(str, arguments)])


def content(folder) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Export all stored rows in each format, the first twice: scored anew, then from kept scores."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("UNDERSTUDY_CACHE", str(folder / "cache"))
        patched.delenv("UNDERSTUDY_DATA", raising=False)
        patched.setenv("HF_HUB_OFFLINE", "1")
        for place in ("first", "again"):
            assert export(RESULTS, "--format", "every-eval-ever", "--out", folder / place) == 0
        assert export(RESULTS, "--format", "model-index", "--out", folder / "cards") == 0
        arguments = ("--format", "eval-results", "--dataset", DATASET)
        assert export(RESULTS, *arguments, "--out", folder / "hub") == 0
        yield folder


def table() -> list[dict[str, str]]:
    """Return the cells of the stored table."""
    with (RESULTS / "table.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_record_follows_the_schema(exported):
    records = [json.loads(data) for data in content(exported / "first").values()]
    assert records
    validator = jsonschema.Draft7Validator(SCHEMA)
    assert [error.message for record in records for error in validator.iter_errors(record)] == []
    assert len({record["evaluation_id"] for record in records}) == len(records)


def test_every_number_of_the_stored_table_is_a_result_and_nothing_else_is(exported):
    expected = {
        (line["benchmark"], line["budget"], line["name"], line["task"], name): (
            float(line[name]),
            line[f"{name}_low"] and float(line[f"{name}_low"]),
            line["answer"] or None,
            line["ranked"] == "True",
        )
        for line in table()
        for name in MEASURES
        if line[name]
    }
    found = {}
    for place, data in content(exported / "first").items():
        record = json.loads(data)
        for each in record["evaluation_results"]:
            details = each["score_details"]["details"]
            metric = each["metric_config"]["metric_kind"]
            interval = each["score_details"]["uncertainty"].get("confidence_interval", {"lower": ""})
            key = (details["benchmark"], details["budget"], details["name"], details["task"], metric)
            ranked = place.startswith("data/understudy/")
            found[key] = (each["score_details"]["score"], interval["lower"], details.get("answer"), ranked)
            assert ("(not ranked)" in each["evaluation_name"]) is not ranked
    assert set(found) == set(expected)
    for key, (number, low, answer, ranked) in expected.items():
        assert found[key][2:] == (answer, ranked)
        assert found[key][0] == pytest.approx(number, rel=1e-9)  # another scipy, other last bits
        assert found[key][1] == (low and pytest.approx(low, rel=1e-9))


def test_two_exports_give_equal_bytes(exported):
    assert content(exported / "first") == content(exported / "again")


def test_a_card_takes_the_model_index(exported):
    places = content(exported / "cards")
    imitators = {(line["benchmark"], line["name"]) for line in table() if line["kind"] == "imitator"}
    assert len(places) == len(imitators)
    (place,) = [place for place in places if place.startswith("darkroom-v1/transformer-many-runs-")]
    assert place == "darkroom-v1/transformer-many-runs-cfa3985334676a7b/model-index.yaml"
    card = ModelCard(f"---\n{places[place].decode()}---\n# A card\n")
    assert card.data.model_name == "transformer-many-runs"
    stored = json.loads((RESULTS / "darkroom-v1/full/transformer-many-runs/scores.json").read_text("utf-8"))
    found = {each.metric_type: each for each in card.data.eval_results}
    gain = stored["verdicts"][2]["numbers"]["normalised gain"]
    assert found["transfer_normalised_gain"].metric_value == gain["estimate"]
    assert found["transfer_normalised_gain"].metric_args == {
        **{key: pytest.approx(gain[key], rel=1e-9) for key in ("confidence", "low", "high")},
        "answer": "yes",
        "basis": "method claim, n = 16, m = 16, track frozen, greedy decoding",
    }
    assert found["transfer_normalised_gain"].dataset_name == "darkroom-v1, budget full, round 2"


def test_eval_results_are_entries_of_the_hub(exported):
    places = content(exported / "hub")
    place = "minatar-v1/bc-e553b624d13d61a4/.eval_results/understudy.yaml"
    entries = {each.task_id: each for each in parse_eval_result_entries(yaml.safe_load(places[place]))}
    stored = json.loads((RESULTS / "minatar-v1/tenth/bc/scores.json").read_text("utf-8"))
    found = entries["minatar-v1.tenth.skill_points_an_episode"]
    assert (found.dataset_id, found.dataset_revision) == ("somebody/runs", "a" * 40)
    assert found.value == stored["verdicts"][0]["numbers"]["imitator"]["estimate"]
    assert found.notes.endswith("; checkpoint claim, n = 8, m = 8, track frozen, greedy decoding; round 1")
    assert all(math.isfinite(each.value) for each in entries.values())


def test_the_formats_of_the_hub_hold_what_push_publishes(exported):
    """`push` reads the stored scores.json; the export scores the row again."""
    row = RESULTS / "darkroom-v1/full/gru-50k"
    declared, scores = (json.loads((row / name).read_text("utf-8")) for name in ("row.json", "scores.json"))
    answers = hub_results.answers(declared, scores, "full")
    place = exported / f"cards/darkroom-v1/gru-50k-{declared['identity'][:16]}/model-index.yaml"
    found = ModelCard(f"---\n{place.read_text('utf-8')}---\n").data.eval_results
    expected = hub_results.model_index(answers)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.metric_value == pytest.approx(
            other.metric_value, rel=1e-9
        )  # another scipy, other last bits
        assert one.metric_args == {
            key: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
            for key, value in other.metric_args.items()
        }
        rest = [
            {name: value for name, value in vars(each).items() if name not in ("metric_value", "metric_args")}
            for each in (one, other)
        ]
        assert rest[0] == rest[1]


def test_a_row_that_is_not_ranked_says_so_in_the_formats_of_the_hub(tmp_path):
    verdict = Verdict("skill", "method", "no", numbers={"imitator": Interval(1.5, 1.0, 2.0, 0.95)}, n=16)
    one = rows.scored(tmp_path, "mine", (verdict,), row={"round": "dev"})
    (data,) = exports.model_index([one]).contents.values()
    (found,) = ModelCard(f"---\n{data.decode()}---\n").data.eval_results
    assert found.dataset_name == "darkroom-v1, budget quick, round dev, not ranked: self-reported"
    (data,) = exports.eval_results([one], exports.dataset(DATASET)).contents.values()
    assert [each.notes for each in parse_eval_result_entries(yaml.safe_load(data))] == [
        "Q1 skill: no; points an episode, 95 % interval [1, 2]; method claim, n = 16, track frozen, greedy "
        "decoding; round dev, not ranked: self-reported"
    ]


@pytest.fixture
def refused(capsys, tmp_path):
    """Run the command on a folder that does not exist yet; return its one line of error."""

    def run(*arguments: object, code: int = cli.BAD_INPUT) -> str:
        capsys.readouterr()
        assert export("--out", tmp_path / "out", *arguments) == code
        shown = capsys.readouterr()
        assert (shown.out, list(tmp_path.glob("out/**/*"))) == ("", [])
        (line,) = shown.err.splitlines()
        return line

    return run


CONTROL = RESULTS / "darkroom-v1/quick/random"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((RESULTS, "--format", "every-eval"), "did you mean 'every-eval-ever'?"),
        ((RESULTS / "none", "--format", "model-index"), "no such folder"),
        ((CONTROL, "--format", "model-index"), "random: left out, a control is no submission"),
        ((RESULTS / "atari-v1", "--format", "every-eval-ever"), "random: left out, nothing was measured"),
        (
            (CONTROL, "--format", "eval-results"),
            "expected --dataset hf://datasets/user/repo@<commit hash> too",
        ),
        ((CONTROL, "--format", "model-index", "--dataset", DATASET), "--dataset: expected only with"),
        (
            (CONTROL, "--format", "eval-results", "--dataset", "hf://datasets/somebody/runs@main"),
            "runs@main: expected hf://datasets/user/repo@<commit hash>",
        ),
        (
            (CONTROL, "--format", "eval-results", "--dataset", f"hf://somebody/model@{'a' * 40}"),
            "expected hf://datasets/user/repo@<commit hash>",
        ),
        (
            (CONTROL, "--format", "eval-results", "--dataset", "runs"),
            "runs: expected hf://datasets/user/repo",
        ),
    ],
)
def test_wrong_arguments_are_one_line_and_write_nothing(refused, arguments, message):
    assert message in refused(*arguments)


def test_a_row_that_cannot_be_read_stops_the_export(refused, tmp_path):
    quick = tmp_path / "results/darkroom-v1/quick"
    for name in ("random", "bc"):
        shutil.copytree(RESULTS / "darkroom-v1/quick" / name, quick / name)
    (quick / "random/row.json").write_text("{}")
    assert "random/row.json" in refused(tmp_path / "results", "--format", "every-eval-ever")


def test_an_output_folder_that_is_a_file_is_refused(capsys, tmp_path):
    (tmp_path / "out").write_text("mine")
    assert export(CONTROL, "--format", "every-eval-ever", "--out", tmp_path / "out") == cli.BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert (tmp_path / "out").read_text() == "mine"


def test_a_folder_with_other_content_is_refused(refused, tmp_path, monkeypatch):
    (tmp_path / "used").mkdir()
    (tmp_path / "used/mine").write_text("mine")
    monkeypatch.chdir(tmp_path)
    line = refused(CONTROL, "--format", "every-eval-ever", "--out", "used")
    assert "used: expected a new or empty folder, found other content; choose another --out" in line
    assert content(tmp_path / "used") == {"mine": b"mine"}


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(path, data):
        path.parent.mkdir(parents=True)
        raise OSError(28, "No space left on device")

    made = exports.Export({"a/b": b"1"}, ())
    exports.write(made, tmp_path / "whole")
    assert content(tmp_path) == {"whole/a/b": b"1"}
    monkeypatch.setattr(exports.files, "write_atomically", fail)
    with pytest.raises(OSError, match="No space left"):
        exports.write(made, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
