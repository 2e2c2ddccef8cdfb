"""What each control is: the first sentence of its file, read without importing it."""

from __future__ import annotations

import ast
import functools
import re
from typing import Final

from understudy.suite import reserved_names

SENTENCE: Final = re.compile(r"(.+?\.)(?:\s|$)", re.DOTALL)


@functools.cache
def what(name: str) -> str | None:
    """Return what a control is in one sentence, e.g. of `injected-0.25`; None if no file describes it."""
    for stem in (name, name.rpartition("-")[0]):
        path = reserved_names.CONTROLS / f"{stem.replace('-', '_')}.py"
        if stem and path.is_file():
            return _first_sentence(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))))
    return None


def _first_sentence(text: str | None) -> str | None:
    found = SENTENCE.match(" ".join((text or "").split()))
    return None if found is None else found[1]
