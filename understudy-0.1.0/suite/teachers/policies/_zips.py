"""Open untrusted zips; anything wrong with one raises InputError with a one-line message."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from understudy.suite.errors import InputError
from understudy.suite.io import git_lfs


@contextmanager
def opened(data: bytes, where: object) -> Iterator[zipfile.ZipFile]:
    """Open a zip in memory; InputError if it is damaged, also where a member is read inside the block."""
    git_lfs.refuse_pointer_bytes(data, where)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError) as error:
        raise InputError(f"{where}: not a whole zip ({error}); fetch it again") from error
    except (NotImplementedError, RuntimeError) as error:  # encrypted, or compressed in an odd way
        raise InputError(f"{where}: unreadable zip ({error}); pack it again, plainly") from error
