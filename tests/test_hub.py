"""The Hub: the real client against a server on this machine, with every trouble that a true one can give."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pandas as pd
import pytest
import yaml
from huggingface_hub import constants

from understudy import cli
from understudy.suite import benchmarks, games
from understudy.suite.errors import InputError
from understudy.suite.histories import format as history_format
from understudy.suite.histories import publishing
from understudy.suite.histories.format import COLUMNS
from understudy.suite.histories.record import SegmentRule
from understudy.suite.hub import commits, failures, locations, manifest
from understudy.suite.hub.locations import Location
from understudy.suite.testing import loopback_hub
from understudy.suite.testing.histories import play_on, random_lives
from understudy.suite.testing.hub_repos import LARGE_BYTES
from understudy.suite.testing.loopback_hub import LoopbackHub

REPO = "somebody/lives"
HASH = "0123456789abcdef0123456789abcdef01234567"
LIVES = ("darkroom-v1/goal-40/seed-0", "darkroom-v1/goal-40/seed-1", "darkroom-v1/goal-41/seed-0")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short random lives in the layout that is published; one has a large file beside it."""
    root = tmp_path_factory.mktemp("recorded")
    for number, name in enumerate(LIVES):
        (life,) = random_lives(games.load(f"darkroom/{name.split('/')[1]}"), root / name, 1, number)
        for _ in play_on([life], SegmentRule(60), 100):
            pass
        life.path.rename(life.path.with_name("history.parquet"))
        life.path.with_name("progress.json").unlink()
    (root / LIVES[0] / "network_at_w.safetensors").write_bytes(bytes(range(256)) * (LARGE_BYTES // 64))
    return root


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    """The lives, in a folder that the test may change."""
    return Path(shutil.copytree(recorded, tmp_path / "lives"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub that the client of this process talks to, and an empty cache."""
    monkeypatch.setattr(failures, "WAITS_SECONDS", (0.01, 0.01))
    for variable in ("HF_TOKEN", "HF_HUB_OFFLINE", "UNDERSTUDY_DATA"):
        monkeypatch.delenv(variable, raising=False)
    with LoopbackHub().serve() as hub:
        # These were read from the environment at the library's import; `command` sets the environment itself.
        monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
        template = f"{hub.endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        huggingface_hub.close_session()
        yield hub
    huggingface_hub.close_session()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `understudy histories ...` here; return exit code, output, and what went to standard error."""

    def run_here(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["histories", *map(str, arguments)])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    return run_here


def command(
    hub: LoopbackHub, home: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the program as a user does: a process of its own, which reads everything from its environment."""
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", **environment}
    return subprocess.run(
        [sys.executable, "-m", "understudy", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def pushed(run: Run, folder: Path) -> str:
    """Push and return the pinned name."""
    code, out, err = run("push", folder, REPO)
    assert code == 0, err
    return out.strip()


def last(err: str) -> str:
    """Return the one line in which a failure is said."""
    return err.rstrip("\n").rpartition("\n")[2]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def flip(position: int) -> Callable[[bytes], bytes]:
    def altered(data: bytes) -> bytes:
        at = position % len(data)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return altered


# Locations


@pytest.mark.parametrize(
    ("text", "repo_type"), [(f"hf://datasets/a-b/c.d_e@{HASH}", "dataset"), (f"hf://a/b@{HASH}", "model")]
)
def test_a_location_is_read_and_written(text, repo_type):
    location = locations.parse(text)
    assert location.repo_type == repo_type
    assert location.pinned
    assert str(location) == text


def test_what_is_not_forty_lower_case_digits_is_no_pin():
    for revision in ("main", "v1", HASH[:39], HASH.upper(), HASH + "0", "refs/pr/1"):
        assert not locations.parse(f"hf://datasets/a/b@{revision}").pinned
    assert not locations.parse("hf://datasets/a/b").pinned


@pytest.mark.parametrize(
    "text",
    [
        "hf://",
        "hf://datasets/a",
        "hf://a",
        f"hf://spaces/a/b@{HASH}",
        f"hf://datasets/a/b/c@{HASH}",
        f"hf://datasets/../b@{HASH}",
        f"hf://datasets/a/b..c@{HASH}",
        f"hf://datasets/a/b.git@{HASH}",
        f"hf://datasets/a b/c@{HASH}",
        f"hf://datasets/a/é@{HASH}",
        "hf://datasets/a/b@",
        "hf://datasets/a/b@v 1",
        "hf://datasets/a/b@../x",
        "hf://datasets/a/b@v1@v2",
        "hf://datasets/a/b@v1?x",
        f"hf://datasets/a/{'b' * 97}@{HASH}",
        "datasets/a/b",
    ],
)
def test_a_malformed_location_is_refused_in_one_line(text):
    with pytest.raises(InputError, match="expected") as refused:
        locations.parse(text)
    assert str(refused.value).startswith(text)
    assert "\n" not in str(refused.value)


# The manifest


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    root = tmp_path / "listed"
    for name, data in {"b/x.bin": b"123", "a.txt": b"", "README.md": b"card", "b/README.md": b"?"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    manifest.write(root)
    return root


def test_sha256sum_reads_the_manifest_and_we_read_its(listed):
    ran = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=listed, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == ["a.txt: OK", "b/README.md: OK", "b/x.bin: OK"]
    names = ["a.txt", "b/README.md", "b/x.bin"]
    theirs = subprocess.run(
        ["sha256sum", *names], cwd=listed, capture_output=True, text=True, check=True
    ).stdout
    assert (listed / "SHA256SUMS").read_text() == theirs
    assert list(manifest.check(listed)) == names


@pytest.mark.parametrize("root", benchmarks.roots(), ids=str)
def test_the_manifests_of_the_data_here_are_strict(root):
    assert manifest.check(root)


def test_every_altered_byte_of_a_manifest_is_found(listed):
    path = listed / "SHA256SUMS"
    good = path.read_bytes()
    for at in range(len(good)):
        for bit in (0, 5):  # 5: the case of a letter
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :])
            with pytest.raises(manifest.Mismatch):
                manifest.check(listed)
    for shorter in (good[:-1], good[1:], b"", good + b"\n", good + good):
        path.write_bytes(shorter)
        with pytest.raises(manifest.Mismatch):
            manifest.check(listed)
    path.write_bytes(good)
    manifest.check(listed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda root: (root / "a.txt").write_bytes(b"!"),
            "a.txt: SHA-256 is bb7208bc.*, SHA256SUMS says e3b0c442",
        ),
        (lambda root: (root / "a.txt").unlink(), "lists a.txt, which is not there"),
        (lambda root: (root / "b" / "new").touch(), "b/new is not listed"),
        (lambda root: (root / "SHA256SUMS").unlink(), "no SHA256SUMS there"),
    ],
)
def test_what_differs_from_the_manifest_is_named(listed, change, message):
    change(listed)
    with pytest.raises(manifest.Mismatch, match=message):
        manifest.check(listed)


def test_files_outside_of_the_manifest_may_change(listed):
    (listed / "README.md").write_text("edited on the Hub")
    (listed / ".gitattributes").touch()
    (listed / "source.json").touch()
    manifest.check(listed)


@pytest.mark.parametrize(
    "line", ["/etc/passwd", "../x", "b/../a.txt", "./a.txt", "b//x", "README.md", "a\\b", "b/", "", "."]
)
def test_a_path_that_leaves_the_folder_or_is_spelt_twice_is_refused(tmp_path, line):
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  {line}\n")
    with pytest.raises(manifest.Mismatch, match="line 1"):
        manifest.check(tmp_path)


# The card


def test_the_card_says_what_is_in_the_files(folder):
    lives = publishing.survey(folder)
    text = publishing.card(lives, REPO)
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["license"] == "cc-by-4.0"
    assert "reinforcement-learning" in front["task_categories"]
    found = [set(folder.glob(config["data_files"])) for config in front["configs"]]
    assert set().union(*found) == set(folder.rglob("*.parquet"))
    assert sum(map(len, found)) == 3  # none twice
    assert [config["config_name"] for config in front["configs"]] == [
        "darkroom-v1.goal-40",
        "darkroom-v1.goal-41",
    ]
    huggingface_hub.DatasetCard(text)
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| darkroom")]
    assert [row[0] for row in rows] == list(LIVES)
    for row in rows:
        frame = pd.read_parquet(folder / row[0] / "history.parquet")
        ended = frame.terminated | frame.truncated
        assert row[1] == f"darkroom/{row[0].split('/')[1]}"
        assert row[2:5] == [row[0][-1], str(len(frame)), str(ended.sum())]
        for skill, window in zip(row[5:7], (slice(0, 10), slice(90, 100)), strict=True):
            ends = ended[window].sum()
            assert skill == (f"{frame.reward[window].sum() / ends:.4g}" if ends else "-")
        assert row[7].strip("`") == history_format.read(folder / row[0] / "history.parquet").content_sha256


def test_a_published_life_opens_as_a_table(folder):
    front = yaml.safe_load(publishing.card(publishing.survey(folder), REPO).split("---\n")[1])
    for config in front["configs"]:
        for path in folder.glob(config["data_files"]):
            frame = pd.read_parquet(path)
            assert list(frame.columns) == list(COLUMNS)
            assert [str(dtype) for dtype in frame.dtypes] == ["uint8", "float32", "bool", "bool", "bool"]


def test_the_card_of_the_lives_here_matches_every_parquet_file():
    data = benchmarks.roots()[0]
    lives = publishing.survey(data)
    front = yaml.safe_load(publishing.card(lives, REPO).split("---\n")[1])
    found = [path for config in front["configs"] for path in data.glob(config["data_files"])]
    assert sorted(found) == sorted(data.rglob("*.parquet"))
    assert len({life.game for life in lives}) == len(front["configs"])


# Push and pull


def test_pull_gives_the_bytes_that_were_pushed(hub, run, folder, tmp_path):
    location = pushed(run, folder)
    sent = content(folder)
    there = hub.files(REPO)
    assert {path: data for path, data in there.items() if path.startswith("darkroom-v1/")} == sent
    assert there.keys() - sent.keys() == {"README.md", "SHA256SUMS", ".gitattributes"}
    commits_made = list(hub.repos["dataset", REPO].messages.values())
    assert commits_made == ["initial commit", "3 lives"]

    code, out, err = run("pull", REPO, "--out", tmp_path / "copy")
    assert (code, out.strip()) == (0, location)
    total = sum(map(len, there.values()))
    assert f"{total / 1e3:.1f} kB in all" in err
    got = content(tmp_path / "copy")
    source = json.loads(got.pop("source.json"))
    assert source == {"location": location, "repo": REPO, "type": "dataset", "revision": location[-40:]}
    assert got == there
    assert not list(tmp_path.glob(".*part"))


def test_pulled_lives_are_pushed_again_as_they_are(hub, run, folder, tmp_path):
    location = pushed(run, folder)
    run("pull", REPO, "--out", tmp_path / "copy")
    code, out, err = run("push", tmp_path / "copy", REPO)
    assert (code, out.strip()) == (0, location)
    assert "nothing to do" in err


def test_push_twice_does_nothing_and_a_change_is_one_commit(hub, run, folder):
    first = pushed(run, folder)
    code, out, err = run("push", folder, REPO)
    assert (code, out.strip()) == (0, first)
    assert "nothing to do" in err
    shutil.rmtree(folder / LIVES[1])
    code, out, err = run("push", folder, REPO, "--message", "one life less")
    assert code == 0
    assert out.strip() != first
    assert f"removed there, not in the folder: {LIVES[1]}/history.parquet" in err
    assert hub.files(REPO).keys().isdisjoint({f"{LIVES[1]}/history.parquet"})
    assert list(hub.repos["dataset", REPO].messages.values())[1:] == ["3 lives", "one life less"]
    assert run("pull", first)[0] == 0  # the older state is still there
    assert run("pull", out.strip())[0] == 0


def test_dry_run_writes_nothing(hub, run, folder):
    code, out, err = run("push", folder, REPO, "--dry-run", "--replay")
    assert (code, out) == (0, "")
    assert "6 files to add, 0 to change, 0 to remove" in err
    assert "under cc-by-4.0" in err
    assert not hub.repos
    assert {method for method, _ in hub.requests} == {"GET"}


def test_the_folder_itself_is_not_touched_and_stray_files_stay_out(hub, run, folder):
    (folder / "README.md").write_text("mine")
    (folder / "notes.txt").write_text("private")
    before = content(folder)
    _, _, err = run("push", folder, REPO)
    assert "left out, no part of a life: notes.txt" in err
    assert content(folder) == before
    assert "notes.txt" not in hub.files(REPO)
    assert hub.files(REPO)["README.md"] != b"mine"


def test_private_is_asked_for(hub, run, folder):
    hub.token = "hf_right"
    os.environ["HF_TOKEN"] = "hf_right"
    try:
        assert run("push", folder, REPO, "--private")[0] == 0
    finally:
        del os.environ["HF_TOKEN"]
    assert hub.repos["dataset", REPO].private
    code, _, err = run("pull", REPO)
    assert code == 2
    assert "or a private one; check the name, or log in" in err


def test_a_tag_is_resolved_once_and_written_down(hub, run, folder, tmp_path):
    code, out, _ = run("push", folder, REPO, "--tag", "v1")
    first = out.strip()
    assert code == 0
    assert hub.repos["dataset", REPO].tags == {"v1": first[-40:]}
    assert run("push", folder, REPO, "--tag", "v1")[0] == 0  # nothing to do, the tag neither
    hub.add(REPO, {"README.md": b"edited"})
    hub.requests.clear()
    code, out, _ = run("pull", f"{REPO}@v1", "--out", tmp_path / "copy")
    assert (code, out.strip()) == (0, first)
    assert json.loads((tmp_path / "copy" / "source.json").read_text())["revision"] == first[-40:]
    assert len([path for _, path in hub.requests if "v1" in path.replace("darkroom-v1", "")]) == 1
    hub.repos["dataset", REPO].tags["v1"] = hub.repos["dataset", REPO].main
    code, _, err = run("pull", f"{REPO}@v1", "--out", tmp_path / "copy")
    assert code == 2
    assert f"says {{'location': '{first}'" in err


def test_a_tag_never_moves(hub, run, folder):
    run("push", folder, REPO, "--tag", "v1")
    shutil.rmtree(folder / LIVES[1])
    before = hub.repos["dataset", REPO].main
    code, _, err = run("push", folder, REPO, "--tag", "v1")
    assert code == 2
    assert "the tag v1 exists" in err
    assert hub.repos["dataset", REPO].main == before


def test_a_repository_of_something_else_is_not_written_over(hub, run, folder):
    hub.add(REPO, {"model.bin": b"precious"})
    code, _, err = run("push", folder, REPO)
    assert code == 2
    assert "found model.bin and no SHA256SUMS" in err
    assert hub.files(REPO)["model.bin"] == b"precious"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / LIVES[1] / "history.parquet").write_bytes(b"PAR1 cut"), "truncated at byte 8"),
        (
            lambda root: (root / LIVES[2]).parent.rename(root / "darkroom-v1/goal-42"),
            "says goal-42, its history",
        ),
        (
            lambda root: (root / LIVES[2]).rename(root / "darkroom-v1/goal-41/second"),
            "expected lives as <benchmark>",
        ),
        (lambda root: shutil.rmtree(root / "darkroom-v1"), "found none"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_a_folder_with_an_unreadable_life_is_not_pushed(hub, run, folder, change, message):
    change(folder)
    code, _, err = run("push", folder, REPO)
    assert code == 2
    assert message in last(err)
    assert not hub.repos


def test_a_life_that_does_not_replay_is_not_pushed(hub, run, folder):
    path = folder / LIVES[1] / "history.parquet"
    history = history_format.read(path)
    reward = history.reward.copy()
    reward[50] += 1
    history_format.write(path, dataclasses.replace(history, reward=reward))
    code, _, err = run("push", folder, REPO, "--replay")
    assert code == 1
    assert f"{LIVES[1]}: differs" in last(err)
    assert not hub.repos


# Trouble while reading


def test_an_interrupted_transfer_goes_on_where_it_broke_off(hub, run, folder, tmp_path, monkeypatch):
    pushed(run, folder)
    path = f"{LIVES[0]}/network_at_w.safetensors"
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)  # what is short of a chunk is fetched again
    hub.cuts[path] = 1000
    assert run("pull", REPO, "--out", tmp_path / "copy")[0] == 0
    assert [begin for served, begin in hub.served if served == path] == [0, 1000]
    assert (tmp_path / "copy" / path).read_bytes() == (folder / path).read_bytes()


def test_an_interrupted_pull_fetches_the_rest_only(hub, run, folder):
    location = pushed(run, folder)
    path = f"{LIVES[2]}/history.parquet"
    hub.unavailable_files[path] = 10**6
    code, _, err = run("pull", REPO)
    assert code == 3
    assert "HTTP 503" in last(err)
    assert "of its files, not all" in last(err)
    hub.unavailable_files.clear()
    hub.served.clear()
    code, _, err = run("pull", location)
    assert code == 0
    assert "in 1 files" in err
    assert hub.served == [(path, 0)]


def test_503_and_then_fine(hub, run, folder):
    hub.unavailable = 1
    pushed(run, folder)
    hub.unavailable = 1
    path = f"{LIVES[2]}/history.parquet"
    hub.unavailable_files[path] = 1
    code, _, err = run("pull", REPO)
    assert code == 0, err
    assert hub.served.count((path, 0)) == 2


def test_503_for_ever_is_said_in_one_line(hub, run, folder):
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
    assert "asks for consent first; accept on its page, then log in" in err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("somebody/nothing", "no such data set on the Hub, or a private one"),
        (f"somebody/nothing@{HASH}", "no such data set on the Hub, or a private one"),
        (f"{REPO}@v9", "somebody/lives has no revision v9"),
        (f"{REPO}@{HASH}", f"somebody/lives has no revision {HASH}"),
        ("nonsense", "expected user/repo"),
    ],
)
@pytest.mark.parametrize("verb", ["pull", "list"])
def test_what_is_not_there_is_said_in_one_line(hub, run, folder, name, message, verb):
    pushed(run, folder)
    code, _, err = run(verb, name)
    assert code == 2
    assert err.count("\n") == 1
    assert message in err or (verb == "list" and name == "nonsense" and "no such folder" in err)


def test_a_repository_without_a_manifest_cannot_be_checked(hub, run):
    hub.add(REPO, {"x.bin": b"123"})
    code, _, err = run("pull", REPO)
    assert code == 2
    assert "it has no SHA256SUMS, so it can't be checked" in last(err)


@pytest.mark.parametrize(
    "path", [f"{LIVES[0]}/network_at_w.safetensors", f"{LIVES[1]}/history.parquet", "SHA256SUMS"]
)
@pytest.mark.parametrize("position", [0, 70, -1])
def test_bytes_altered_on_the_way_are_found_and_fetched_anew(hub, run, folder, tmp_path, path, position):
    pushed(run, folder)
    hub.altered[path] = flip(position)
    out = tmp_path / "copy"
    code, _, err = run("pull", REPO, "--out", out)
    assert code == 1
    assert "removed from the cache and the same command fetches it anew" in last(err)
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
    path = (snapshot / LIVES[1] / "history.parquet").resolve()
    path.write_bytes(flip(60)(path.read_bytes()))
    code, _, err = run("info", location)
    assert code == 1
    assert f"{LIVES[1]}/history.parquet: SHA-256 is" in last(err)
    assert not path.exists()
    code, _, err = run("info", location)
    assert code == 0
    assert "in 2 files" in err  # that file, and the manifest


def test_a_copy_that_was_altered_or_is_something_else_is_not_overwritten(hub, run, folder, tmp_path):
    pushed(run, folder)
    out = tmp_path / "copy"
    assert run("pull", REPO, "--out", out)[0] == 0
    hub.requests.clear()
    code, _, err = run("pull", REPO, "--out", out)
    assert code == 0
    assert "holds it already, checked" in err
    assert len(hub.requests) == 1  # what the branch means now
    path = out / LIVES[1] / "history.parquet"
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


def test_offline_works_from_the_cache_and_asks_nothing(hub, run, folder, monkeypatch):
    location = pushed(run, folder)
    assert run("pull", location)[0] == 0
    hub.requests.clear()
    assert run("verify", location)[0] == 0
    assert hub.requests == []  # a pinned name asks nothing, even where it could
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
    (snapshot / LIVES[1] / "history.parquet").unlink()
    code, _, err = run("verify", location)
    assert code == 3
    assert err.count("\n") == 1
    assert "HF_HUB_OFFLINE is set; unset it; the cache holds 6 of its files, not all" in err


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


# Trouble while writing


def test_a_lost_race_writes_nothing(hub, run, folder):
    pushed(run, folder)
    shutil.rmtree(folder / LIVES[1])
    hub.rivals.append((REPO, {"README.md": b"theirs"}))
    code, _, err = run("push", folder, REPO)
    assert code == 3
    head = hub.repos["dataset", REPO].main
    assert f"somebody else committed {head} in between, so nothing was written" in last(err)
    assert hub.files(REPO)["README.md"] == b"theirs"
    assert f"{LIVES[1]}/history.parquet" in hub.files(REPO)
    assert run("push", folder, REPO)[0] == 0


def test_a_commit_whose_answer_is_lost_is_made_once(hub, run, folder):
    hub.lost_answers = 1
    location = pushed(run, folder)
    assert list(hub.repos["dataset", REPO].messages.values()) == ["initial commit", "3 lives"]
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


def test_models_are_published_and_fetched_alike(hub):
    location = Location("model", "somebody/model", None)
    contents = {"a/model.safetensors": b"w" * LARGE_BYTES, "README.md": b"# card\n"}
    contents["SHA256SUMS"] = manifest.text(
        {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    ).encode()
    published = commits.publish(contents, location, "first")
    assert str(published) == f"hf://somebody/model@{hub.repos['model', 'somebody/model'].main}"
    from understudy.suite.hub import client

    folder = client.fetch(published)
    assert (folder / "a" / "model.safetensors").read_bytes() == b"w" * LARGE_BYTES


# A pinned name where a path to lives is taken


def test_pinned_lives_are_looked_at_and_proved(hub, run, folder):
    location = pushed(run, folder)
    code, out, err = run("info", location)
    assert code == 0, err
    assert out.count("darkroom/goal-4") == 3
    code, out, _ = run("verify", f"{location}/{LIVES[1]}")
    assert code == 0
    (line,) = out.splitlines()
    assert line.endswith("goal-40/seed-1/history.parquet: replayed, 100 moves in 2 segments")
    for absent in ("darkroom-v1/goal-7", "../../../../.."):
        code, _, err = run("info", f"{location}/{absent}")
        assert code == 2
        assert f"holds no {absent}" in err


def test_a_name_that_is_not_pinned_is_refused_with_the_one_to_use(hub, run, folder, monkeypatch):
    location = pushed(run, folder)
    for name in (f"hf://datasets/{REPO}", f"hf://datasets/{REPO}@main"):
        code, _, err = run("verify", name)
        assert code == 2
        assert err == (
            f"understudy: {name}: expected a commit hash, so that the name means the same bytes for ever; "
            f"use {location}\n"
        )
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    code, _, err = run("verify", f"hf://datasets/{REPO}@main")
    assert code == 2
    assert f"expected hf://datasets/{REPO}@<40 hex digits>, which `understudy histories pull` prints" in err


def test_lives_are_listed_here_and_on_the_hub(hub, run, folder):
    location = pushed(run, folder)
    hub.served.clear()
    code, out, err = run("list", REPO)
    lines = out.splitlines()
    assert code == 0, err
    assert lines[0] == location
    assert [line.split()[0] for line in lines[2:]] == list(LIVES)
    assert hub.served == []
    assert run("pull", REPO)[0] == 0
    _, fetched, _ = run("list", REPO)
    _, local, _ = run("list", folder)
    assert fetched == f"{location}\n{local}"
    assert local.splitlines()[1].split()[:4] == [LIVES[0], "darkroom/goal-40", "0", "100"]


def test_the_program_works_from_a_data_set_on_the_hub(hub, run, tmp_path, monkeypatch, capsys):
    """Push darkroom lives of the package; then benchmarks and train know no other data than the Hub's."""
    source = benchmarks.roots()[0] / "darkroom-v1"
    for goal in ("goal-00", "goal-01", "goal-02"):
        shutil.copytree(source / goal, tmp_path / "few" / "darkroom-v1" / goal)
    location = pushed(run, tmp_path / "few")
    shutil.rmtree(tmp_path / "few")
    monkeypatch.setenv("UNDERSTUDY_DATA", location)
    monkeypatch.setenv("UNDERSTUDY_CACHE", str(tmp_path / "cache"))
    assert cli.main(["benchmarks", "darkroom-v1"]) == 0
    shown = capsys.readouterr()
    assert "fetching" in shown.err
    assert [line.split()[:2] for line in shown.out.splitlines() if "14,300" in line] == [
        [f"goal-0{goal}/seed-0", "14,300"] for goal in (0, 1, 2)
    ]
    out = tmp_path / "mine"
    training = ["train", "markov", "--benchmark", "darkroom-v1", "--all", "--steps", "2", "--set", "width=2"]
    assert cli.main([*training, "--out", str(out)]) == 0
    watched = json.loads((out / "submission.json").read_text())["watched"]["histories"]
    assert [entry["name"] for entry in watched] == ["goal-00/seed-0", "goal-01/seed-0"]


@pytest.mark.long
def test_a_submission_is_scored_from_a_data_set_on_the_hub(hub, run, tmp_path, monkeypatch):
    location = pushed(run, benchmarks.roots()[0])
    monkeypatch.setenv("UNDERSTUDY_DATA", location)
    monkeypatch.chdir(tmp_path)
    scoring = ["score", "random", "--benchmark", "darkroom-v1", "--task", "skill", "--budget", "quick"]
    assert cli.main([*scoring, "--out", "results"]) == 0
    assert list((tmp_path / "results").rglob("record.json"))


def test_the_environment_says_where_the_hub_is_and_whether_to_ask_it(hub, run, folder, tmp_path):
    """Processes of their own, as users have them: nothing here is set but their environment."""
    location = pushed(run, folder)
    ran = command(hub, tmp_path / "home", "histories", "info", location)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.startswith(f"{location}: fetching")
    hub.requests.clear()
    ran = command(hub, tmp_path / "home", "histories", "info", location, HF_HUB_OFFLINE="1")
    assert (ran.returncode, ran.stderr) == (0, "")
    ran = command(hub, tmp_path / "other", "histories", "info", location, HF_HUB_OFFLINE="1")
    assert ran.returncode == 3
    assert ran.stderr == f"understudy: {location}: the Hub is needed, but HF_HUB_OFFLINE is set; unset it\n"
    assert hub.requests == []


def test_the_list_of_data_folders_is_split_outside_of_names_on_the_hub(
    hub, run, folder, tmp_path, monkeypatch
):
    location = pushed(run, folder)
    monkeypatch.setenv("UNDERSTUDY_DATA", os.pathsep.join(["/a/b", location, str(tmp_path), ""]))
    first, second, third = benchmarks.roots()
    assert (first, third) == (Path("/a/b"), tmp_path)
    assert second.name == location[-40:]
    monkeypatch.setenv("UNDERSTUDY_DATA", f"hf://datasets/{REPO}@main")
    with pytest.raises(InputError, match=f"use {location}"):
        benchmarks.roots()
