"""Files: how many a process may have open."""

from __future__ import annotations

import contextlib

import pytest

from understudy.suite.io import file_lock, files


def test_more_files_may_be_open_than_the_shell_allowed(tmp_path):
    """Training holds a lock for each run; the usual limit of a shell would stop a thousand runs."""
    resource = pytest.importorskip("resource")
    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    if usual[1] != resource.RLIM_INFINITY and usual[1] < 1_000:
        pytest.skip("this machine allows few open files")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, usual[1]))
        files.allow_open_files(400)
        with contextlib.ExitStack() as held:
            for number in range(400):
                held.enter_context(file_lock.held(tmp_path / str(number)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
