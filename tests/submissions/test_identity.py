"""Seeds follow from what plays: another name, description, file or version draws no new luck."""

import pytest
import safetensors.torch
from support import rows

import understudy
from understudy.suite import protocols
from understudy.suite.harness import software
from understudy.suite.io import files

pytestmark = pytest.mark.usefixtures("here")


def logs(results):
    return {
        path.relative_to(results).parts[3:]: path.read_bytes()
        for path in results.rglob("history.parquet")
        if path.relative_to(results).parts[2] not in ("random", "frozen-teacher")
    }


def test_a_renamed_and_saved_again_submission_plays_the_same_bytes(make_submission, tmp_path, monkeypatch):
    folder = make_submission()
    rows.score(rows.requested(str(folder), tmp_path / "before"), tasks=["skill", "transfer"])
    path, weights = folder / "submission.json", folder / "all" / "model.safetensors"
    files.write_json(path, {**files.read_json(path), "name": "renamed", "description": "another text"})
    safetensors.torch.save_file(safetensors.torch.load_file(weights), weights, {"saved": "again"})
    folder = folder.rename(folder.with_name("moved"))
    monkeypatch.setattr(understudy, "__version__", "99.0.0")
    software.versions.cache_clear()
    rows.score(rows.requested(str(folder), tmp_path / "after"), tasks=["skill", "transfer"])
    software.versions.cache_clear()
    before, after = logs(tmp_path / "before"), logs(tmp_path / "after")
    assert before
    assert before == after
    row = tmp_path / "after" / "darkroom-v1" / "quick" / "renamed"
    found = files.read_json(row / "start" / "all" / "lane-0" / "record.json")
    assert (found["labels"]["name"], found["software"]["understudy"]) == ("renamed", "99.0.0")


def test_greedy_and_sampled_rows_have_the_same_seeds_and_other_weights_have_others(make_submission, tmp_path):
    folder = make_submission()
    path, weights = folder / "submission.json", folder / "all" / "model.safetensors"

    def seeds():
        row = rows.requested(str(folder), tmp_path)
        return [lane.seed for role in protocols.ROLES for job in row.jobs(role) for lane in job.job.lanes]

    greedy = seeds()
    files.write_json(path, {**files.read_json(path), "decoding": "sample", "name": "sampled"})
    assert seeds() == greedy
    tensors = safetensors.torch.load_file(weights)
    name = next(iter(tensors))
    safetensors.torch.save_file({**tensors, name: tensors[name] + 1e-6}, weights)
    assert not set(seeds()) & set(greedy)


def test_the_order_of_the_declared_runs_chooses_no_lane(make_submission, tmp_path):
    folder = make_submission()
    path = folder / "submission.json"

    def lanes():
        return [job.job.lanes for job in rows.requested(str(folder), tmp_path).jobs("continue")]

    before = lanes()
    declared = files.read_json(path)
    declared["watched"]["histories"].reverse()
    files.write_json(path, declared)
    assert lanes() == before
