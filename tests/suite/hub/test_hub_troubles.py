"""Failures of the Hub: broken transfers, altered bytes, refusals, lost races, no network."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from support import loopback_hub
from support.hub_commands import HASH, REPO, RUNS, content, flip, last, pushed


def test_an_interrupted_transfer_is_resumed(hub, run, folder, tmp_path, monkeypatch):
    pushed(run, folder)
    path = f"{RUNS[0]}/network_at_w.safetensors"
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)  # an incomplete chunk is fetched again
    hub.cuts[path] = 1000
    assert run("pull", REPO, "--out", tmp_path / "copy")[0] == 0
    assert [begin for served, begin in hub.served if served == path] == [0, 1000]
    assert (tmp_path / "copy" / path).read_bytes() == (folder / path).read_bytes()


def test_an_interrupted_pull_fetches_the_rest_only(hub, run, folder):
    location = pushed(run, folder)
    path = f"{RUNS[2]}/history.parquet"
    hub.unavailable_files[path] = 10**6
    code, _, err = run("pull", REPO)
    assert code == 3
    assert "HTTP 503" in last(err)
    assert "the cache holds only" in last(err)
    hub.unavailable_files.clear()
    hub.served.clear()
    code, _, err = run("pull", location)
    assert code == 0
    assert "in 1 files" in err
    assert hub.served == [(path, 0)]


def test_a_call_is_retried_after_503(hub, run, folder):
    hub.unavailable = 1
    pushed(run, folder)
    hub.unavailable = 1
    path = f"{RUNS[2]}/history.parquet"
    hub.unavailable_files[path] = 1
    code, _, err = run("pull", REPO)
    assert code == 0, err
    assert hub.served.count((path, 0)) == 2


def test_repeated_503_is_reported_in_one_line(hub, run, folder):
    pushed(run, folder)
    hub.unavailable = 10**6
    code, _, err = run("pull", REPO)
    assert code == 3
    assert err.count("\n") == 1
    assert "overloaded or broken (HTTP 503: come back later); try again later" in err


def test_a_gated_repository(hub, run, folder):
    location = pushed(run, folder)
    hub.gated.add(REPO)
    code, _, err = run("pull", location)
    assert code == 2
    assert err.count("\n") == 1
    assert "gated by its owner; accept the terms on its page, then log in" in err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("somebody/nothing", "no such dataset on the Hub, or a private one"),
        (f"somebody/nothing@{HASH}", "no such dataset on the Hub, or a private one"),
        (f"{REPO}@v9", "somebody/runs has no revision v9"),
        (f"{REPO}@{HASH}", f"somebody/runs has no revision {HASH}"),
        ("nonsense", "expected user/repo"),
    ],
)
@pytest.mark.parametrize("verb", ["pull", "list"])
def test_a_missing_repository_or_revision_is_reported_in_one_line(hub, run, folder, name, message, verb):
    pushed(run, folder)
    code, _, err = run(verb, name)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err or (verb == "list" and name == "nonsense" and "no such folder" in err)


def test_a_repository_without_a_manifest_cannot_be_checked(hub, run):
    hub.add(REPO, {"x.bin": b"123"})
    code, _, err = run("pull", REPO)
    assert code == 2
    assert "no SHA256SUMS, so it can't be checked" in last(err)


@pytest.mark.parametrize(
    "path", [f"{RUNS[0]}/network_at_w.safetensors", f"{RUNS[1]}/history.parquet", "SHA256SUMS"]
)
@pytest.mark.parametrize("position", [0, 70, -1])
def test_bytes_altered_in_transfer_are_found_and_fetched_again(hub, run, folder, tmp_path, path, position):
    pushed(run, folder)
    hub.altered[path] = flip(position)
    out = tmp_path / "copy"
    code, _, err = run("pull", REPO, "--out", out)
    assert code == 1
    assert "removed from the cache, and the same command fetches it again" in last(err)
    assert "SHA256SUMS" in last(err)
    assert not out.exists()
    hub.altered.clear()
    code, _, err = run("pull", REPO, "--out", out)
    assert code == 0, err
    assert {name: data for name, data in content(out).items() if name != "source.json"} == hub.files(REPO)


def test_bytes_altered_in_the_cache_are_found_on_the_next_load(hub, run, folder):
    location = pushed(run, folder)
    assert run("info", location)[0] == 0
    (snapshot,) = Path(constants.HF_HUB_CACHE).glob("*/snapshots/*")
    path = (snapshot / RUNS[1] / "history.parquet").resolve()
    path.write_bytes(flip(60)(path.read_bytes()))
    code, _, err = run("info", location)
    assert code == 1
    assert f"{RUNS[1]}/history.parquet: SHA-256 is" in last(err)
    assert not path.exists()
    code, _, err = run("info", location)
    assert code == 0
    assert "in 2 files" in err  # that file, and the manifest


def test_an_altered_copy_or_other_content_is_not_overwritten(hub, run, folder, tmp_path):
    pushed(run, folder)
    out = tmp_path / "copy"
    assert run("pull", REPO, "--out", out)[0] == 0
    hub.requests.clear()
    code, _, err = run("pull", REPO, "--out", out)
    assert code == 0
    assert "already pulled, checked again" in err
    assert len(hub.requests) == 1  # for the branch's current commit
    path = out / RUNS[1] / "history.parquet"
    path.write_bytes(flip(9)(path.read_bytes()))
    code, _, err = run("pull", REPO, "--out", out)
    assert code == 1
    assert f"delete {out} and pull again" in err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    code, _, err = run("pull", REPO, "--out", tmp_path / "mine")
    assert code == 2
    assert "expected a new or empty folder" in err
    assert content(tmp_path / "mine") == {"thesis.tex": b"x"}
    (tmp_path / "empty").mkdir()
    assert run("pull", REPO, "--out", tmp_path / "empty")[0] == 0


# Without the Hub


def test_offline_works_from_the_cache_without_requests(hub, run, folder, monkeypatch):
    location = pushed(run, folder)
    assert run("pull", location)[0] == 0
    hub.requests.clear()
    assert run("verify", location)[0] == 0
    assert hub.requests == []  # a cached, pinned name needs no request
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    code, out, err = run("verify", location)
    assert code == 0, err
    assert len(out.splitlines()) == 3
    assert run("list", location)[0] == 0
    code, _, err = run("pull", f"{REPO}@v1")
    assert code == 3
    assert "HF_HUB_OFFLINE is set" in err
    (snapshot,) = Path(constants.HF_HUB_CACHE).glob("*/snapshots/*")
    (snapshot / RUNS[1] / "history.parquet").unlink()
    code, _, err = run("verify", location)
    assert code == 3
    assert err.count("\n") == 1
    assert "HF_HUB_OFFLINE is set; unset it; the cache holds only 7 of its files" in err


def test_an_unreachable_hub(hub, run, folder, monkeypatch):
    location = pushed(run, folder)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for arguments in (("pull", REPO), ("info", location), ("push", folder, REPO), ("list", REPO)):
        code, _, err = run(*arguments)
        assert code == 3
        assert err.count("\n") == 1
        assert "the Hub at http://127.0.0.1:9 can't be reached (ConnectError" in err


@pytest.mark.parametrize(
    ("endpoint", "token", "message"),
    [
        (None, "hf_é", "check HF_ENDPOINT and HF_TOKEN"),
        ("nonsense", "hf_ok", "check the network, and HF_ENDPOINT if it is set"),
    ],
)
def test_wrong_settings_of_the_client(hub, run, monkeypatch, endpoint, token, message):
    monkeypatch.setattr(constants, "ENDPOINT", endpoint or hub.endpoint)
    monkeypatch.setenv("HF_TOKEN", token)
    code, _, err = run("pull", REPO)
    assert code == 3
    assert err.count("\n") == 1
    assert message in err
    assert token not in err


def test_a_login_page_is_no_hub(hub, run, monkeypatch):
    monkeypatch.setattr(
        loopback_hub,
        "_ROUTES",
        [("GET", ".*", lambda self: self.reply(b"<html>Welcome to our hotel</html>"))],
    )
    code, _, err = run("pull", REPO)
    assert code == 3
    assert "check HF_ENDPOINT and HF_TOKEN, and that no login page" in err


# Failures while writing


def test_a_lost_race_writes_nothing(hub, run, folder):
    pushed(run, folder)
    shutil.rmtree(folder / RUNS[1])
    hub.rivals.append((REPO, {"README.md": b"theirs"}))
    code, _, err = run("push", folder, REPO)
    assert code == 3
    head = hub.repos["dataset", REPO].main
    assert f"another commit, {head}, came in between, so nothing was written" in last(err)
    assert hub.files(REPO)["README.md"] == b"theirs"
    assert f"{RUNS[1]}/history.parquet" in hub.files(REPO)
    assert run("push", folder, REPO)[0] == 0


def test_a_commit_whose_answer_is_lost_is_made_once(hub, run, folder):
    hub.lost_answers = 1
    location = pushed(run, folder)
    assert list(hub.repos["dataset", REPO].messages.values()) == ["initial commit", "3 runs"]
    assert location.endswith(hub.repos["dataset", REPO].main)


def test_a_refused_token(hub, run, folder, monkeypatch):
    hub.token = "hf_right"
    code, _, err = run("push", folder, REPO)
    assert code == 2
    assert "(401: Invalid username or password.); log in with `hf auth login`, or set HF_TOKEN" in last(err)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    code, _, err = run("push", folder, REPO)
    assert code == 2
    assert "the Hub refused the token (401: Invalid credentials in Authorization header)" in last(err)
    assert not hub.repos
