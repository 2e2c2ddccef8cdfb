"""Submissions on the Hub, fetched by the real client from a loopback Hub."""

from __future__ import annotations

import json
import time
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants
from support.hub_commands import HASH, content, flip, last

from understudy import cli
from understudy.submissions import hub_submissions, submission_format

REPO = "somebody/model"


@pytest.fixture
def folder(hub, make_submission, data, monkeypatch):
    """A sound submission in a folder, and the runs that it watched; the Hub is empty."""
    monkeypatch.setenv("UNDERSTUDY_DATA", str(data))
    return make_submission()


def published(hub, folder: Path) -> str:
    """Put a folder on the Hub by other means than ours, as `hf upload` would; return its name."""
    files = {**content(folder), "README.md": b"# mine\n", "notes/big.bin": b"x" * 100_000}
    return f"hf://{REPO}@{hub.add(REPO, files, 'model')}"


def check(name: str, capsys) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(["check", name])
    shown = capsys.readouterr()
    assert "Traceback" not in shown.err
    return code, shown.out, shown.err


def test_a_submission_is_fetched_checked_and_named_as_declared(hub, folder, capsys):
    _, local, _ = check(str(folder), capsys)
    name = published(hub, folder)
    code, out, err = check(name, capsys)
    assert code == 0, err
    assert out == local
    assert out.startswith("mine: would be accepted")
    sizes = {path: len(data) for path, data in content(folder).items()}
    assert f"{name}: fetching {sizes['submission.json']} bytes in 1 files" in err.splitlines()
    fetched = hub_submissions.fetched(name)
    assert content(fetched) == content(folder)  # and nothing else of the repository
    assert submission_format.read(fetched).identity == submission_format.read(folder).identity


def test_what_was_fetched_needs_no_network(hub, folder, capsys, monkeypatch):
    name = published(hub, folder)
    assert check(name, capsys)[0] == 0
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    code, _, err = check(name, capsys)
    assert (code, err) == (0, "")
    assert hub.requests == []
    (hub_submissions.fetched(name) / "all" / "config.json").unlink()
    code, _, err = check(name, capsys)
    assert code == 3
    assert err == f"understudy: {name}: the Hub is needed, but HF_HUB_OFFLINE is set; unset it\n"


@pytest.mark.parametrize("revision", ["", "@main", "@v1"])
def test_a_tag_or_branch_is_refused_with_the_hash_that_it_points_to(hub, folder, capsys, revision):
    name = published(hub, folder)
    hub.repos["model", REPO].tags["v1"] = name[-40:]
    code, _, err = check(f"hf://{REPO}{revision}", capsys)
    assert code == 2
    assert err == (
        f"understudy: hf://{REPO}{revision}: expected a commit hash, so that the name always means the same "
        f"bytes; use {name}\n"
    )


def gate(hub, name):
    hub.gated.add(REPO)


def hide(hub, name):
    hub.repos["model", REPO].private = True


def lose_weights(hub, name):
    del hub.repos["model", REPO].commits[name[-40:]]["all/model.safetensors"]


def lose_declaration(hub, name):
    del hub.repos["model", REPO].commits[name[-40:]]["submission.json"]


def grow(hub, name):
    hub.repos["model", REPO].commits[name[-40:]]["all/config.json"] = b" " * (1 << 16) + b"{}"


def misspell(hub, name):
    hub.repos["model", REPO].commits[name[-40:]]["submission.json"] = b'{"format": 2}'


def break_weights(hub, name):
    hub.repos["model", REPO].commits[name[-40:]]["all/model.safetensors"] = b"not a tensor"


def alter(hub, name):
    hub.altered["all/model.safetensors"] = flip(-1)


def be_down(hub, name):
    hub.unavailable = 10**6


@pytest.mark.parametrize(
    ("trouble", "code", "message"),
    [
        (gate, 2, "gated by its owner; accept the terms on its page, then log in with"),
        (hide, 2, "no such model on the Hub, or a private one; check the name, or log in"),
        (lose_weights, 2, "all/model.safetensors is not in this repository; ask its owner to publish it"),
        (lose_declaration, 2, "submission.json is not in this repository; ask its owner to publish it"),
        (grow, 2, "all/config.json: expected at most 65,536 bytes, found 65,538"),
        (misspell, 2, "submission.json: submission format 2, this version reads 1; update understudy"),
        (break_weights, 2, "all/model.safetensors: not a whole safetensors file"),
        (alter, 2, "all/model.safetensors: its hash is"),
        (be_down, 3, "the Hub is overloaded or broken (HTTP 503: come back later); try again later"),
    ],
)
@pytest.mark.parametrize("command", ["check", "score"])
def test_trouble_is_one_line_that_names_the_submission(
    hub, folder, capsys, tmp_path, monkeypatch, trouble, code, message, command
):
    name = published(hub, folder)
    trouble(hub, name)
    if trouble is be_down:  # its client waits a minute before it gives up
        monkeypatch.setattr(time, "sleep", lambda seconds: None)
    options = ["--benchmark", "darkroom-v1", "--out", str(tmp_path / "results")] if command == "score" else []
    assert cli.main([command, name, *options]) == code
    line = last(capsys.readouterr().err)
    assert line.startswith(f"understudy: {name}")
    assert message in line
    assert str(tmp_path) not in line
    assert not (tmp_path / "results").exists()


def test_a_transfer_that_was_altered_is_fetched_again(hub, folder, capsys):
    name = published(hub, folder)
    alter(hub, name)
    code, _, err = check(name, capsys)
    assert code == 2
    assert "removed from the cache, and the same command fetches it again" in last(err)
    hub.altered.clear()
    code, _, err = check(name, capsys)
    assert code == 0
    assert len(err.splitlines()) == 1  # only that file


def test_bytes_that_were_altered_in_the_cache_are_found(hub, folder, capsys):
    name = published(hub, folder)
    assert check(name, capsys)[0] == 0
    path = (hub_submissions.fetched(name) / "all" / "config.json").resolve()
    path.write_bytes(path.read_bytes().replace(b"2", b"3"))
    code, _, err = check(name, capsys)
    assert code == 2
    assert f"{name}: all/config.json: its hash is" in last(err)
    assert check(name, capsys)[0] == 0


def test_a_dataset_is_no_submission(hub, folder, capsys):
    name = f"hf://datasets/{REPO}@{HASH}"
    code, _, err = check(name, capsys)
    assert code == 2
    assert err == (
        f"understudy: {name}: expected a submission, hf://user/repo@<commit hash>; found a dataset, which "
        "holds runs\n"
    )


def test_too_large_a_file_is_refused_before_it_is_downloaded(hub, folder, capsys):
    name = published(hub, folder)
    grow(hub, name)
    assert check(name, capsys)[0] == 2
    assert [path for path, _ in hub.served] == ["submission.json"]


def test_a_folder_of_the_clients_cache_is_taken_as_it_is(hub, folder, capsys):
    """As `hf download user/repo` leaves it: links to the blobs beside it."""
    name = published(hub, folder)
    snapshot = Path(huggingface_hub.snapshot_download(REPO, revision=name[-40:]))
    assert (snapshot / "all" / "model.safetensors").is_symlink()
    _, local, _ = check(str(folder), capsys)
    code, out, err = check(str(snapshot), capsys)
    assert code == 0, err
    assert out.startswith(local)
    assert "warning: notes/big.bin is not part of the submission" in out


def test_a_folder_that_the_client_copied_is_taken_too(hub, folder, capsys, tmp_path):
    """As `hf download --local-dir` leaves it: files, and the client's notes beside them."""
    published(hub, folder)
    copy = Path(huggingface_hub.snapshot_download(REPO, local_dir=tmp_path / "copy"))
    assert check(str(copy), capsys)[0] == 0
    assert json.loads((copy / "submission.json").read_text())["name"] == "mine"
