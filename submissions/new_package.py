"""A new package with an architecture of one's own: the files in `new_architecture` under another name."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from pathlib import Path
from typing import Final

from understudy import baselines
from understudy.suite import reserved_names
from understudy.suite.errors import InputError
from understudy.suite.io import files, walks

TEMPLATE: Final = Path(__file__).parent / "new_architecture"
NAME: Final = "my-lstm"  # of the architecture in the template
NAMES: Final = re.compile(r"(?=.{1,64}$)[a-z][a-z0-9]*(-[a-z0-9]+)*")


def write(name: str, folder: Path) -> list[Path]:
    """Write a package that works as it is, with an architecture of this name, and return its files.

    Raises InputError for a name that an architecture or a package cannot have, and a folder with files.
    """
    module = name.replace("-", "_")
    if not NAMES.fullmatch(name) or keyword.iskeyword(module):
        raise InputError(f"expected a name of small letters, digits and '-', such as my-lstm; found {name!r}")
    if module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None:
        raise InputError(
            f"expected a name of its own; found {name!r}, and a module {module} is installed here"
        )
    if name in baselines.names() or reserved_names.is_control(name):
        raise InputError(f"expected a name of its own; found {name!r}, which this package has")
    if not walks.is_empty(folder):
        raise InputError(f"{folder}: expected an empty folder, found files in it; give another --out")
    written = []
    sources = [path for path in walks.unfollowed(TEMPLATE) if path.suffix != ".pyc"]  # pip compiles it
    for source in sorted(sources):
        place = folder / _renamed(source.relative_to(TEMPLATE).as_posix(), name)
        files.write_atomically(place, _renamed(source.read_text(encoding="utf-8"), name).encode())
        written.append(place)
    return written


def _renamed(text: str, name: str) -> str:
    """Return a text with the names of the template's architecture, package and class replaced."""
    class_name = "".join(word.capitalize() for word in name.split("-"))
    module = name.replace("-", "_")
    names = {NAME: name, "my_lstm": module, "MyLSTM": class_name}
    return re.sub("|".join(map(re.escape, names)), lambda found: names[found[0]], text)
