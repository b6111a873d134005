"""House rules that no linter checks: sizes, module and class names, vendors' names in code, plain English, messages quoted in docs.

Run by `make check`.
"""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tools.english import English, nodes
from tools.quotes import stale

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "modelbay"
CODE = ("src", "tests", "bench", "tools", "examples", "integrations")
"""The folders with code."""
PRESETS = PACKAGE / "providers" / "presets"

FILE_LINES = 600
FUNCTION_LINES = 60
PARAMETERS = 7
VAGUE = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}
ROOT_ERROR = "ModelbayError"
PROTOCOLS = {"openai_chat", "openai_responses", "anthropic", "google"}
THIRD_PERSON = re.compile(
    r"(Add|Applie|Ask|Begin|Call|Check|Clear|Close|Create|Delete|Discard|Drop|End|Fetche|Find|Fix|Give|Import|Insert|Keep|Make|Open"
    r"|Parse|Print|Put|Raise|Read|Recognize|Refuse|Register|Remove|Rename|Replace|Report|Return|Run|Send|Serve|Set|Show|Start|Stop"
    r"|Store|Switche|Take|Update|Wait|Write)s\b(?!:| \w+Error:| \w+Provider:)"
)
"""Verbs at the beginning of a docstring, other than those that may be nouns. `Raises X:` begins a list of errors."""
TYPES = {"kimi", "anthropic", "openai", "openai_responses", "google-genai", "vertexai", "azure"}


def broken(path: Path, vendors: set[str]) -> Iterator[tuple[int, str]]:
    """The rules that a file breaks, with their lines."""
    source = path.read_text(encoding="utf-8")
    if (lines := source.count("\n")) > FILE_LINES:
        yield 1, f"file has {lines} lines, over {FILE_LINES}: split it"
    if vague := VAGUE & {part.strip("_") for part in path.relative_to(ROOT).with_suffix("").parts}:
        yield 1, f"`{vague.pop()}` is vague: name the module after its subject"
    yield from left_behind(nodes(source))
    for node in nodes(source):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from too_large(node, data="tests" in path.relative_to(ROOT).parts)
            if path.is_relative_to(PACKAGE):
                yield from not_imperative(node)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == ROOT_ERROR and path.is_relative_to(PACKAGE):
            yield (
                node.lineno,
                f"`{ROOT_ERROR}` is the root of the errors, which is only caught: raise a class of its own",
            )
        elif isinstance(node, ast.Constant) and node.value in vendors - {path.stem} and path.is_relative_to(PACKAGE):
            yield node.lineno, f"`{node.value}` is a vendor's name: move it to providers/presets"


def left_behind(module: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """Docstrings of a value that was removed or moved away."""
    for holder in (one for one in module if isinstance(one, ast.Module | ast.ClassDef)):
        for before, node in pairwise(holder.body):
            text = node.value if isinstance(node, ast.Expr) else None
            if (
                isinstance(text, ast.Constant)
                and isinstance(text.value, str)
                and not isinstance(before, ast.Assign | ast.AnnAssign)
            ):
                yield node.lineno, "a docstring without its value: remove it, or put it below the value"


def too_large(function: ast.FunctionDef | ast.AsyncFunctionDef, *, data: bool) -> Iterator[tuple[int, str]]:
    """A function's size; where functions carry `data` (snapshots in tests), its length is free."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if lines > FUNCTION_LINES and not data:
        yield function.lineno, f"`{function.name}` has {lines} lines, over {FUNCTION_LINES}: split it"
    arguments = function.args
    names = [arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    if (count := len(names) - (names[:1] in (["self"], ["cls"]))) > PARAMETERS:
        yield function.lineno, f"`{function.name}` has {count} parameters, over {PARAMETERS}: give them a type"


def not_imperative(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    """A docstring that begins like `Adds a provider.`."""
    if found := THIRD_PERSON.match(ast.get_docstring(function) or ""):
        yield function.body[0].lineno, f"`{found[0]}` begins a docstring: use the imperative, such as `Add`"


def not_plain(root: Path, path: Path, english: English) -> Iterator[str]:
    """Forbidden phrases in a text, with their places."""
    name = path.relative_to(root)
    for line, fault in english.faults(path, data="tests" in name.parts):
        yield f"{name.as_posix()}:{line}: {fault}"


def texts(root: Path) -> list[Path]:
    """The files whose English is checked: code, data of the package, and the documentation that is not generated."""
    code = (path for top in CODE for path in (root / top).rglob("*.py"))
    pages = (path for path in (root / "docs").rglob("*.md") if path.parent.name != "reference")
    found = {
        *code,
        *(root / "src").rglob("*.toml"),
        *root.glob("*.md"),
        *pages,
        *(root / "integrations").glob("*/*.md"),
    }
    return sorted(found - {root / "docs" / "reference" / "catalog.md"})


def repeated_classes(package: Path, shared: set[str]) -> Iterator[str]:
    """Public class names that several modules use."""
    modules = defaultdict(list)
    for path in sorted(package.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(path.relative_to(package).as_posix())
    for name, places in sorted(modules.items()):
        if len(places) > 1 and name not in shared:
            yield f"`{name}` is a class of {', '.join(places)}: give each its own name"


def main() -> int:
    rules = tomllib.loads((ROOT / "tools" / "house.toml").read_text(encoding="utf-8"))
    vendors = {preset.stem for preset in PRESETS.glob("*.toml")} - PROTOCOLS - TYPES
    files = {path for top in CODE for path in (ROOT / top).rglob("*.py")}
    english, checked, faults = English(rules["phrases"]), set(texts(ROOT)), list[str]()
    for path in sorted(files | checked):
        if path in files:
            faults += (f"{path.relative_to(ROOT)}:{line}: {fault}" for line, fault in sorted(broken(path, vendors)))
        if path in checked:
            faults += not_plain(ROOT, path, english)
    faults += repeated_classes(PACKAGE, set(rules["shared_classes"]))
    pages = sorted((ROOT / "docs").rglob("*.md"))
    faults += [
        f"{page.relative_to(ROOT)}:{line}: no message contains `{quote}`: quote the program's message"
        for page, line, quote in stale(pages, PACKAGE)
    ]
    print(*faults or [f"House rules: {len(files)} files, all kept"], sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
