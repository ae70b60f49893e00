"""Writes docs/reference.md from the docstrings: `python3 reference.py`, or `--check` to say whether it is current.

Reads the sources and does not import them, so that signatures stand as they are written.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src" / "danube"
PAGE = HERE / "docs" / "reference.md"
TYPES = "_types.py"

INTRO = """# Reference

<!-- Written by sdk/reference.py from the docstrings; change those. -->

Everything is imported from `danube`: `from danube import artifacts, ctx, pipeline, secrets, step`.

Durations are texts: `"90s"`, `"5m"`, `"1h30m"`, `"500ms"`; sizes: `"512MiB"`, `"2GiB"` (by 1024), `"512M"` (by 1000).
"""


def page() -> str:
    """The whole page."""
    names = public_names()
    found: dict[str, list[str]] = {}
    for path in sorted(SOURCES.glob("_*.py")):
        if path.name == "_messages.py":
            continue
        tree = ast.parse(path.read_text())
        objects = named_objects(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and objects.get(node.name, node.name) in names:
                found[objects.get(node.name, node.name)] = of_class(node, objects.get(node.name))
            elif isinstance(node, ast.FunctionDef) and node in tree.body and node.name in names:
                found[node.name] = of_function(node, node.name, "##")
    found.update(of_types(names))
    missing = names - found.keys() - {"__version__"}
    if missing:
        raise SystemExit(f"no documentation is found for {', '.join(sorted(missing))}")
    order = sorted(found, key=lambda name: (name[0].isupper(), name.lower()))
    contents = " · ".join(f"[`{name}`](#{name.lower()})" for name in order)
    sections = ["\n".join(found[name]) for name in order]
    text = "\n".join([INTRO, contents, "", *sections]).rstrip() + "\n"
    return re.sub(r"\n{3,}", "\n\n", text)


def public_names() -> set[str]:
    """The names of `__all__`, and those of the types."""
    tree = ast.parse((SOURCES / "__init__.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return {*ast.literal_eval(node.value), "Cause", "Env", "When"}
    raise SystemExit("danube/__init__.py has no __all__")


def named_objects(tree: ast.Module) -> dict[str, str]:
    """Private classes whose one object is public: `_Step` is `step`."""
    made = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and not node.value.args:
            made[ast.unparse(node.value.func)] = ast.unparse(node.targets[0])
    return made


def of_class(node: ast.ClassDef, name: str | None) -> list[str]:
    """A class: what it is, its fields, its methods."""
    shown = name or node.name
    lines = [f"## {shown}", "", *prose(docstring(node, shown)), ""]
    fields = [(field, text) for field, text in fields_of(node, shown) if not field.target.id.startswith("_")]
    if fields:
        for field, text in fields:
            default = f" = {ast.unparse(field.value)}" if field.value else ""
            lines.append(f"- `{field.target.id}: {ast.unparse(field.annotation)}{default}`: {one_line(text)}")
        lines.append("")
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
            lines += of_function(method, f"{shown}.{method.name}", "###")
    return lines


def fields_of(node: ast.ClassDef, shown: str) -> list[tuple[ast.AnnAssign, str]]:
    """Annotated fields, each with the text that stands below it."""
    fields = []
    for field, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
                raise SystemExit(f"{shown}.{field.target.id} has no docstring below it")
            fields.append((field, str(after.value.value)))
    return fields


def of_function(node: ast.FunctionDef, name: str, level: str) -> list[str]:
    """A function: its signature, what it does, its arguments."""
    text = docstring(node, name)
    described = set(re.findall(r"^    (\w+): ", text, re.MULTILINE))
    taken = {a.arg for a in [*node.args.args, *node.args.kwonlyargs] if a.arg != "self"}
    taken |= {a.arg for a in [node.args.vararg, node.args.kwarg] if a}
    if taken - described:
        raise SystemExit(f"{name} does not describe {', '.join(sorted(taken - described))}")
    return [f"{level} {name}", "", "```python", signature(node, name), "```", "", *prose(text), ""]


def signature(node: ast.FunctionDef, name: str) -> str:
    """The head of a function as people call it; on several lines where it is long."""
    result = ast.unparse(node.returns) if node.returns else "None"
    parts = parameters(node.args)
    head = f"{name}({', '.join(parts)}) -> {result}"
    if len(head) <= 100:
        return head
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f") -> {result}"])


def parameters(args: ast.arguments) -> list[str]:
    """The parameters one by one, without `self`."""
    plain = [a for a in args.args if a.arg != "self"]
    none = [None] * (len(plain) - len(args.defaults))
    parts = [parameter(a, default) for a, default in zip(plain, [*none, *args.defaults], strict=True)]
    if args.vararg:
        parts.append("*" + parameter(args.vararg, None))
    elif args.kwonlyargs:
        parts.append("*")
    return parts + [parameter(a, default) for a, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)]


def parameter(arg: ast.arg, default: ast.expr | None) -> str:
    """One parameter with its type and default."""
    shown = f"{arg.arg}: {quoted(arg.annotation)}" if arg.annotation else arg.arg
    if default is None:
        return shown
    value = {"_NOTHING": "{}", "_NO_EXCLUSION": "()"}.get(ast.unparse(default), quoted(default))
    return f"{shown} = {value}"


def of_types(names: set[str]) -> dict[str, list[str]]:
    """The names of types, each with its definition."""
    found = {}
    body = ast.parse((SOURCES / TYPES).read_text()).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.Assign) and (name := ast.unparse(node.targets[0])) in names:
            if not isinstance(after, ast.Expr):
                raise SystemExit(f"{name} has no docstring below it")
            text = str(ast.literal_eval(after.value))
            found[name] = [f"## {name}", "", "```python", quoted(node), "```", "", *prose(text), ""]
    return found


def docstring(node: ast.ClassDef | ast.FunctionDef, name: str) -> str:
    """The docstring; there must be one."""
    text = ast.get_docstring(node)
    if not text:
        raise SystemExit(f"{name} has no docstring")
    return text


def prose(text: str) -> list[str]:
    """A docstring in Markdown: its sections `Args:`, `Returns:`, `Raises:` become lists."""
    lines: list[str] = []
    section = ""
    for block in inspect.cleandoc(text).split("\n\n"):
        first, _, rest = block.partition("\n")
        if first in ("Args:", "Returns:", "Raises:"):
            section = first
            lines += items(section, textwrap.dedent(rest))
        else:
            lines += [one_line(block), ""]
    return lines


def items(section: str, text: str) -> list[str]:
    """The list of one section."""
    if section == "Returns:":
        return [f"Returns: {one_line(text)}", ""]
    entries = re.split(r"\n(?=\S)", text)
    lines = []
    for entry in entries:
        name, _, rest = entry.partition(":")
        lines.append(f"- `{name}`: {one_line(rest)}")
    return [*(["Raises:", ""] if section == "Raises:" else []), *lines, ""]


def quoted(node: ast.AST) -> str:
    """Source with the quotes that the formatter wants."""
    return ast.unparse(node).replace("'", '"')


def one_line(text: str) -> str:
    """Text without the line breaks of the source."""
    return " ".join(text.split())


def main() -> None:
    """Writes the page, or says that it is stale."""
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.read_text() != text:
            raise SystemExit("docs/reference.md is stale: run python3 reference.py in sdk/")
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
