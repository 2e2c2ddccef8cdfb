"""Records of Every Eval Ever: the values of a row worked out by hand, and the format's own schema."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from support import ROOT, rows

from understudy.leaderboard import every_eval_ever
from understudy.suite.errors import InputError
from understudy.suite.scoring.intervals import Interval
from understudy.suite.scoring.verdicts import Verdict

SCHEMA = json.loads((ROOT / "tests/support/every-eval-ever-0.3.0.schema.json").read_text(encoding="utf-8"))
UUID4 = (
    r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"  # as the data's folders have them
)
PLACE = rf"data/([\w.-]+)/([\w.-]+)/([\w.-]+)/{UUID4}\.json"
SKILL = Verdict(
    "skill",
    "method",
    "no",
    numbers={
        "imitator": Interval(1.5, 1.0, 2.0, 0.95),
        "teacher": Interval(7.0, 6.0, 8.0, 0.95),
        "agreement": Interval(0.5, 0.25, 0.75, 0.95),
    },
    n=16,
    m=12,
    parts=(Verdict("agreement", "method", "no", n=8),),
)
TRANSFER = Verdict(
    "transfer",
    "method",
    "yes (unverified)",
    "not measured: retrained",
    marks=("few ends",),
    numbers={"gain": Interval(-3.0, None, 0.5, 0.95), "normalised gain": Interval(0.5, None, None, 0.95)},
    n=16,
)
ABSENT = Verdict("improvement", "method", None, "not played")


def schema_errors(document: object) -> list[str]:
    return [error.message for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(document)]


@pytest.fixture
def scored(tmp_path):
    """Return a function that makes a row up, with the times of two jobs beside it."""

    def make(name="mine", verdicts=(SKILL, ABSENT, TRANSFER), jobs=True, row=None, **fields):
        one = rows.scored(tmp_path, name, verdicts, row=row, **fields)
        one.folder.path.mkdir(parents=True)
        began = {"start/all": "2026-11-29T22:58:10+00:00", "continue/all": "2026-11-29T23:58:12+01:00"}
        timing = {
            job: {"began": time, "host": "vm", "moves": 250, "seconds": 1.25} for job, time in began.items()
        }
        if jobs:
            (one.folder.path / "timing.json").write_text(json.dumps({"format": 1, "jobs": timing}))
        return one

    return make


def by_metric(record):
    return {each["metric_config"]["metric_id"]: each for each in record["evaluation_results"]}


def test_the_schema_is_sound_and_the_record_follows_it(scored):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert SCHEMA["version"] == every_eval_ever.SCHEMA
    record = every_eval_ever.record(scored())
    assert schema_errors(record) == []
    for key in SCHEMA["required"]:
        assert schema_errors({name: value for name, value in record.items() if name != key})


def test_each_number_is_a_result_with_its_interval_and_units(scored):
    found = by_metric(every_eval_ever.record(scored()))
    assert {name: each["score_details"]["score"] for name, each in found.items()} == {
        "understudy.skill.points": 1.5,
        "understudy.skill.agreement": 0.5,
        "understudy.transfer.points": -3.0,
        "understudy.transfer.normalised_gain": 0.5,
    }
    skill, agreement = (found[f"understudy.skill.{name}"] for name in ("points", "agreement"))
    assert skill["evaluation_name"] == "darkroom-v1, budget quick, Q1 skill"
    assert skill["score_details"]["uncertainty"] == {
        "confidence_interval": {
            "lower": 1.0,
            "upper": 2.0,
            "confidence_level": 0.95,
            "method": "Student's t, or Welch's for independent samples, over units",
        },
        "num_samples": 16,
    }
    assert agreement["score_details"]["uncertainty"]["num_samples"] == 8
    bounds = [
        [each["metric_config"][key] for key in ("min_score", "max_score")] for each in (skill, agreement)
    ]
    assert bounds == [["-Infinity", "Infinity"], [0.0, 1.0]]
    assert skill["metric_config"]["metric_unit"] == "points an episode"
    assert not any(each["metric_config"]["lower_is_better"] for each in found.values())


def test_an_unbounded_interval_is_none_and_its_known_bound_stays(scored):
    found = by_metric(every_eval_ever.record(scored()))
    gain, normalised = (found[f"understudy.transfer.{name}"] for name in ("points", "normalised_gain"))
    for each in (gain, normalised):
        assert each["score_details"]["uncertainty"] == {"num_samples": 16}
    assert gain["score_details"]["details"]["points_high"] == "0.5"
    assert "points_low" not in gain["score_details"]["details"]


def test_the_answer_is_told_with_what_it_lacks(scored):
    record = every_eval_ever.record(scored())
    details = by_metric(record)["understudy.transfer.points"]["score_details"]["details"]
    told = {key: details[key] for key in ("answer", "bracketed", "claim", "reason", "marks", "n", "ranked")}
    assert told == {
        "answer": "yes (unverified)",
        "bracketed": "false",
        "claim": "method",
        "reason": "not measured: retrained",
        "marks": "few ends",
        "n": "16",
        "ranked": "true",
    }
    assert (
        "Q3 transfer yes (unverified), method claim, n = 16, (not measured: retrained)" in details["report"]
    )
    skill = by_metric(record)["understudy.skill.points"]["score_details"]["details"]
    assert (skill["m"], skill["teacher_points"], skill["teacher_points_low"]) == ("12", "7.0", "6.0")
    source = record["source_metadata"]["additional_details"]
    assert source["questions_without_a_number"] == "Q2 improvement: no verdict (not played)"
    assert "none by this export" in source["verification"]


def test_a_row_names_what_played_and_how(scored):
    record = every_eval_ever.record(scored(row={"decoding": "sample", "priming_moves": 40, "round": "2"}))
    assert record["evaluation_id"] == "darkroom-v1.quick.round-2/understudy_mine-0123456789abcdef/1795993094"
    assert (record["model_info"]["name"], record["model_info"]["id"]) == (
        "mine",
        "understudy/mine-0123456789abcdef",
    )
    details = record["model_info"]["additional_details"]
    assert (details["model_availability"], details["identity"], details["track"]) == (
        "unknown",
        rows.SHA256,
        "frozen",
    )
    assert "hf://" not in json.dumps(record)
    for each in record["evaluation_results"]:
        assert each["generation_config"]["additional_details"] == {
            "decoding": "sample",
            "primed_moves": "40",
            "round": "2",
        }


def test_the_time_is_that_of_the_last_job_or_of_the_rounds_draw(scored):
    """The jobs began at 22:58:10 and, an hour east of it, 23:58:12; each took 1.25 s."""
    record = every_eval_ever.record(scored())
    assert record["evaluation_timestamp"] == "2026-11-29T22:58:10+00:00"
    assert record["retrieved_timestamp"] == "1795993094"  # 22:58:13.25, rounded up
    unknown = every_eval_ever.record(scored("other", jobs=False))
    assert "evaluation_timestamp" not in unknown
    assert unknown["retrieved_timestamp"] == "1795910400"  # round 1 was drawn on 2026-11-29
    told = unknown["source_metadata"]["additional_details"]["retrieved_timestamp_is"]
    assert told.startswith("the draw of its round")
    with pytest.raises(InputError, match="expected when each job was played"):
        every_eval_ever.record(scored("third", jobs=False, row={"round": "dev"}))


@pytest.mark.parametrize(
    ("name", "row", "because"),
    [
        ("mine", {"round": "dev"}, "self-reported"),
        ("mine", {"other_teacher_data": True}, "compared with other teacher data than the benchmark's"),
        ("random", {"control": True, "architecture": "random"}, None),
    ],
)
def test_what_is_not_ranked_does_not_look_ranked(scored, name, row, because):
    one = scored(name, row=row)
    record = every_eval_ever.record(one)
    assert every_eval_ever.path(one).startswith("data/understudy-not-ranked/")
    for each in record["evaluation_results"]:
        assert each["evaluation_name"].endswith(" (not ranked)")
        assert each["score_details"]["details"]["ranked"] == "false"
        assert each["score_details"]["details"].get("not_ranked_because") == because
        assert "not ranked" in each["score_details"]["details"]["report"] or because is None
    assert record["model_info"]["additional_details"]["ranked"] == "false"
    assert record["source_metadata"]["additional_details"]["ranked"] == "false"
    first_party = row.get("control") or row.get("round") == "dev"
    expected = "first_party" if first_party else "other"
    assert record["source_metadata"]["evaluator_relationship"] == expected
    assert every_eval_ever.path(scored("ranked")).startswith("data/understudy/")


def test_weights_on_the_hub_give_the_models_id(scored):
    pinned = f"hf://somebody/model@{'a' * 40}"
    one = scored(row={"weights": pinned})
    record = every_eval_ever.record(one)
    assert record["model_info"]["id"] == "somebody/model"
    assert record["evaluation_id"].split("/")[1] == "somebody_model_understudy_mine-0123456789abcdef"
    assert record["model_info"]["additional_details"]["weights_at"] == pinned
    place = re.fullmatch(PLACE, every_eval_ever.path(one))
    assert place
    assert place.groups() == ("understudy", "somebody", "model")


def test_a_row_without_a_number_has_no_record(scored):
    empty = scored(verdicts=(ABSENT,))
    assert not every_eval_ever.measured(empty)
    with pytest.raises(InputError, match="nothing was measured"):
        every_eval_ever.record(empty)


def test_text_of_a_stranger_stays_text(scored):
    record = every_eval_ever.to_bytes(scored(row={"architecture": 'x", "ranked": "true\n\x1b[31m'}))
    found = json.loads(record)
    assert found["model_info"]["additional_details"]["architecture"] == 'x", "ranked": "true\n\x1b[31m'
    assert b"\x1b" not in record
