"""Fixtures: runs to publish on a loopback Hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.hub_commands import RUNS, Run
from support.hub_repos import LARGE_BYTES

from understudy import cli
from understudy.suite import games
from understudy.suite.histories.derived_segments import SegmentRule
from understudy.suite.testing.history_checks import play_on, random_runs


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three short random runs in the published layout; one has a large file beside it."""
    root = tmp_path_factory.mktemp("recorded")
    for number, name in enumerate(RUNS):
        (run,) = random_runs(games.load(f"darkroom/{name.split('/')[1]}"), root / name, 1, number)
        for _ in play_on([run], SegmentRule(60), 100):
            pass
        run.path.rename(run.path.with_name("history.parquet"))
        run.path.with_name("progress.json").unlink()
    (root / RUNS[0] / "network_at_w.safetensors").write_bytes(bytes(range(256)) * (LARGE_BYTES // 64))
    return root


@pytest.fixture
def folder(recorded: Path, tmp_path: Path) -> Path:
    """A copy of the runs that the test may change."""
    return Path(shutil.copytree(recorded, tmp_path / "runs"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `understudy histories ...` in this process; return exit code, standard output, standard error."""

    def run_here(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["histories", *map(str, arguments)])
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out, shown.err

    return run_here
