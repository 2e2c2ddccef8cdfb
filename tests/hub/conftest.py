"""The Hub on this machine, and lives to publish there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from understudy import cli
from understudy.suite import games
from understudy.suite.histories.record import SegmentRule
from understudy.suite.hub import failures
from understudy.suite.testing.histories import play_on, random_lives
from understudy.suite.testing.hub_commands import LIVES, Run
from understudy.suite.testing.hub_repos import LARGE_BYTES
from understudy.suite.testing.loopback_hub import LoopbackHub


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
