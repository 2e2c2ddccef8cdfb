"""A small checkout of this project, for tests that commit to it: its code, few runs and rows, a remote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from support import ROOT, embedded_runs
from support.loopback_hub import LoopbackHub

BENCHMARK = "darkroom-v1"
CODE = ("understudy", "suite", "baselines", "submissions", "leaderboard")
GOALS = ("goal-00", "goal-01", "goal-03", "goal-04", "goal-02", "goal-26", "goal-32", "goal-36")  # 4 are new
RESULTS = Path("leaderboard", "results")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "results", "entries", "searches", "data", "*.data.json")
AUTHOR = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
USERS_OWN = {"UNDERSTUDY_DATA", "HF_TOKEN", "HF_HUB_OFFLINE"}

# One process, since starting one takes as long as all that it does.
FIRST_ROW = """
import sys
from understudy import cli

for line in sys.argv[1:]:
    if cli.main(line.split()) != 0:
        sys.exit(line)
"""


class Checkout:
    """A git checkout on branch main, whose `origin` is a bare repository beside it."""

    def __init__(self, folder: Path) -> None:
        self.path, self.beside = folder / "understudy", folder / "beside"

    def make(self) -> Checkout:
        """Make it, with eight runs of darkroom, the references, and `older` of round 1, played for skill."""
        self.path.mkdir(parents=True)
        for name in CODE:
            shutil.copytree(ROOT / name, self.path / name, ignore=LEFT_OUT)
        for name in ("pyproject.toml", ".gitignore"):
            shutil.copy(ROOT / name, self.path / name)
        embedded_runs.unpack(self.path / "suite" / "data", *(f"{goal}/seed-0" for goal in GOALS))
        rounds = {"format": 1, "rounds": []}
        (self.path / "leaderboard" / "rounds.json").write_text(json.dumps(rounds), encoding="utf-8")
        self.link_package()
        place = f"submissions/entries/{BENCHMARK}/older"
        played = f"--benchmark {BENCHMARK} --task skill --out {RESULTS}"
        self.require(
            *("-c", FIRST_ROW, f"histories pin --benchmark {BENCHMARK}"),
            f"train bc --benchmark {BENCHMARK} --updates 1 --out {place}",
            f"rounds commit older --benchmark {BENCHMARK}",
            "rounds draw",
            f"score older {played} --round 1",
            f"references {BENCHMARK} --budget quick --out {RESULTS}",
        )
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "a checkout")
        self.git("clone", "--quiet", "--bare", ".", str(self.beside / "origin.git"))
        self.git("remote", "add", "origin", str(self.beside / "origin.git"))
        self.git("fetch", "--quiet", "origin")
        return self

    def copied(self, folder: Path) -> Checkout:
        """Return a copy of it below another folder."""
        shutil.copytree(self.path, folder / "understudy", symlinks=True)
        without = shutil.ignore_patterns("understudy")
        shutil.copytree(self.beside, folder / "beside", symlinks=True, ignore=without)
        other = Checkout(folder)
        other.link_package()
        other.git("remote", "set-url", "origin", str(other.beside / "origin.git"))
        return other

    def link_package(self) -> None:
        """Make the package that `import understudy` finds: links to the checkout's folders."""
        package = self.beside / "understudy"
        package.mkdir(parents=True)
        for path in (self.path / "understudy").iterdir():
            (package / path.name).symlink_to(path)
        for name in CODE[1:]:
            (package / name).symlink_to(self.path / name)

    def git(self, *arguments: str) -> str:
        """Run git in the checkout and return what it prints."""
        done = self._run(["git", *arguments], None)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, message: str, *paths: str | Path) -> str:
        """Commit paths, all if none is named; return the commit's hash."""
        self.git("add", "--all", *map(str, paths or (".",)))
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")

    def require(self, *arguments: str, hub: LoopbackHub | None = None) -> str:
        """Run a Python command of the checkout's code, which has to succeed; return what it prints."""
        done = self.run(*arguments, hub=hub)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *arguments: str, hub: LoopbackHub | None = None) -> subprocess.CompletedProcess[str]:
        """Run a Python command of the checkout's code in another process, e.g. `-m understudy board`."""
        return self._run([sys.executable, *arguments], hub)

    def shell(self, script: str, hub: LoopbackHub) -> subprocess.CompletedProcess[str]:
        """Run a shell's script in the checkout."""
        return self._run(["bash", "-c", script], hub)

    def environment(self, hub: LoopbackHub | None = None) -> dict[str, str]:
        """Return the environment of its commands: its own code, an author, and no settings of the user's."""
        own = {
            "PYTHONPATH": str(self.beside),
            "PYTHONSAFEPATH": "1",  # else `understudy/` of the working folder hides the package
            "UNDERSTUDY_CACHE": str(self.beside / "cache"),
            "HF_HOME": str(self.beside / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "OMP_NUM_THREADS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            **dict.fromkeys(AUTHOR, "nobody"),
        }
        kept = {name: value for name, value in os.environ.items() if name not in USERS_OWN}
        return {**kept, **own, **({"HF_ENDPOINT": hub.endpoint} if hub else {})}

    def _run(self, command: list[str], hub: LoopbackHub | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.environment(hub),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=900,
            check=False,
        )


class Session:
    """One process that runs commands of a checkout's code in turn, since starting each takes long."""

    DRIVER = """
import contextlib, io, json, sys
from understudy import cli, review

for line in sys.stdin:
    out, err = io.StringIO(), io.StringIO()
    program, *arguments = json.loads(line)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = {"understudy": cli.main, "review": review.main}[program](arguments)
    print("DONE", json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""

    def __init__(self, checkout: Checkout, hub: LoopbackHub) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", self.DRIVER],
            cwd=checkout.path,
            env=checkout.environment(hub),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def run(self, *command: str) -> tuple[int, str, str]:
        """Run `understudy ...` or `review ...`; return its exit code, output and errors."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("DONE "):
                code, out, err = json.loads(line.removeprefix("DONE "))
                return code, out, err
        raise AssertionError(f"the process ended in {command}")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
