"""Confinement of player processes: bubblewrap where it is installed and works, otherwise resource limits.

In bubblewrap a process sees no network, no other process, and no files but the interpreter, the installed
packages and the submission's folder, all read-only; the teachers' runs and the stored rows that come with
this package are hidden. Limits of memory, files and processes are set in both cases, by the process itself
before it loads the player; they cannot be raised again.
Source: bubblewrap's manual, bwrap(1); Linux's manual, setrlimit(2) and prctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from understudy.suite.custom_code import OURS, PACKAGE
from understudy.suite.io import walks

BUBBLEWRAP: Final = "bubblewrap"
LIMITS: Final = "resource limits"
PROBE_SECONDS: Final = 60.0
MEMORY_BYTES: Final = 1 << 34  # more than the interpreter and torch have in use, of addresses
OUTPUT_BYTES: Final = (
    1 << 16
)  # of each file that is written to: only the one that takes error messages can be
OPEN_FILES: Final = 256
PROCESSES: Final = 64  # and threads, beside those that torch is told to use
SYSTEM: Final = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache", "/etc/alternatives")
GPU: Final = ("/sys", "/dev/dri", "/dev/kfd", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")
HIDDEN: Final = ("suite/data", "submissions/entries", "leaderboard/results", "data")  # of this package
KEPT_VARIABLES: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV")
KEPT_PREFIXES: Final = (
    "ATEN_",
    "CUBLAS_",
    "CUDA_",
    "DNNL_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "OMP_",
    "ONEDNN_",
    "TORCH_",
)
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS, SIGKILL = 1, 38, 9  # Source: Linux, include/uapi/linux/prctl.h


def command(arguments: Sequence[str], folders: Sequence[Path], on_gpu: bool = False) -> tuple[list[str], str]:
    """Return the command that runs arguments of this interpreter confined, and by what it is confined.

    Args:
        arguments: of the interpreter.
        folders: the submission's, which can be read.
        on_gpu: whether the process needs a GPU's device files.
    """
    own = [sys.executable, *arguments]
    if not _works():
        return own, LIMITS
    return [*_bubblewrap(folders, on_gpu), *own], BUBBLEWRAP


def environment() -> dict[str, str]:
    """Return the variables that a player process gets: those that change what torch computes, no secrets."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)
    }
    places = [place for place in sys.path if place and Path(place).exists()]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(places),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/nonexistent",
    }


def limit(threads: int, on_gpu: bool) -> None:
    """Set this process's limits; it cannot raise them again.

    Addresses are not limited on a GPU, whose driver maps more of them than there is memory, nor is the
    number of processes for root.
    """
    import resource

    _control(PR_SET_PDEATHSIG, SIGKILL)
    _control(PR_SET_NO_NEW_PRIVS, 1)
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: OUTPUT_BYTES,
        resource.RLIMIT_NOFILE: OPEN_FILES,
    }
    if not on_gpu and sys.platform == "linux":
        limits[resource.RLIMIT_AS] = _addresses_in_use() + MEMORY_BYTES
    limits[resource.RLIMIT_NPROC] = _tasks_of_this_user() + PROCESSES + threads
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        bounded = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bounded, bounded))


@functools.cache
def _works() -> bool:
    """Return whether bubblewrap is installed and may make its namespaces here."""
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        return False
    try:
        probe = [*_bubblewrap((), False), sys.executable, "-S", "-c", ""]
        done = subprocess.run(probe, capture_output=True, env=environment(), timeout=PROBE_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _bubblewrap(folders: Sequence[Path], on_gpu: bool) -> list[str]:
    bwrap = shutil.which("bwrap")
    assert bwrap is not None, "looked for before"
    found = [bwrap, "--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
    found += ["--unshare-cgroup-try", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
    found += ["--uid", "65534", "--gid", "65534", "--proc", "/proc", "--dev", "/dev"]
    for place in SYSTEM:
        found += ["--ro-bind-try", place, place]
    for path in _outermost(_installed()):
        found += ["--ro-bind", str(path), str(path)]
    hidden = [str(PACKAGE / name) for name in HIDDEN if (PACKAGE / name).is_dir()]
    for place in hidden:
        found += ["--tmpfs", place]
    for folder in folders:  # perhaps one in a hidden folder
        found += ["--ro-bind", str(folder.resolve()), str(folder.resolve())]
    for place in hidden:
        found += ["--remount-ro", place]
    if on_gpu:
        for place in (*GPU, *(str(path) for path in walks.matching(Path("/dev"), "nvidia[0-9]*"))):
            found += ["--dev-bind-try", place, place]
    return [*found, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/", "--"]


def _installed() -> set[Path]:
    """Return the folders of the interpreter, of installed packages, and of this package's code."""
    ours = [PACKAGE / name for name in OURS] if (PACKAGE / "suite").is_dir() else []
    roots = {
        Path(place) for place in (sys.prefix, sys.base_prefix, *site.getsitepackages(), *sys.path) if place
    }
    libraries = {Path(place) for place in sysconfig.get_paths().values() if "lib" in Path(place).parts}
    outside = {path for path in (*roots, *libraries, *ours) if path.exists()}
    cwd = Path.cwd()
    return {
        path for path in outside if path.resolve() != cwd or path in map(Path, (sys.prefix, sys.base_prefix))
    }


def _outermost(places: Iterable[Path]) -> list[Path]:
    """Return the places that lie in no other, each once."""
    found: list[Path] = []
    for place in sorted({each.absolute() for each in places}, key=lambda each: len(each.parts)):
        if not any(place.is_relative_to(other) for other in (*found, *map(Path, SYSTEM))):
            found.append(place)
    return found


def _addresses_in_use() -> int:
    with open("/proc/self/statm", encoding="utf-8") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _tasks_of_this_user() -> int:
    """Return how many threads this user has, which the limit of processes counts; 0 without /proc."""
    count = 0
    for process in walks.matching(Path("/proc"), "[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):  # it has ended
            if process.stat().st_uid == os.getuid():
                lines = (process / "status").read_text(encoding="utf-8", errors="replace").splitlines()
                count += int(next(line for line in lines if line.startswith("Threads:")).split()[1])
    return count


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
