"""Show the comment at the end of a field's line as the field's description in the API reference."""

from __future__ import annotations

import ast
import io
import tokenize
from typing import Any

import griffe


class FieldComments(griffe.Extension):
    """Give each attribute without a docstring the comments on its own lines as one."""

    def on_attribute_instance(
        self, *, node: ast.AST | griffe.ObjectNode, attr: griffe.Attribute, agent: Any, **kwargs: Any
    ) -> None:
        """Griffe calls this for each assignment to a name in a module or class."""
        if attr.docstring is not None or not isinstance(node, ast.Assign | ast.AnnAssign):
            return
        lines = agent.code.splitlines()[node.lineno - 1 : node.end_lineno]
        text = " ".join(comments(lines))
        if text:
            attr.docstring = griffe.Docstring(text, lineno=node.lineno, parent=attr)


def comments(lines: list[str]) -> list[str]:
    """Return the text of the comments in the lines of one statement, without those that address a tool."""
    source = "\n".join(line.lstrip() if not i else line for i, line in enumerate(lines)) + "\n"
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = (token.string.removeprefix("#").strip() for token in tokens if token.type == tokenize.COMMENT)
    return [text for text in found if not text.startswith(("type:", "noqa"))]
