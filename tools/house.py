"""The house rules that no linter knows: sizes, names of modules, and no vendor's name in code. Run by `make check`."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "modelbay"
PRESETS = PACKAGE / "providers" / "presets"

FILE_LINES = 600
FUNCTION_LINES = 60
PARAMETERS = 7
VAGUE = {"base", "common", "core", "helper", "helpers", "manager", "misc", "util", "utils"}
PROTOCOLS = {"openai_chat", "openai_responses", "anthropic", "google"}
TYPES = {"kimi", "anthropic", "openai", "openai_responses", "google-genai", "vertexai", "azure"}


def broken(path: Path, vendors: set[str]) -> Iterator[tuple[int, str]]:
    """Every rule that a file breaks, with its line."""
    source = path.read_text(encoding="utf-8")
    if (lines := source.count("\n")) > FILE_LINES:
        yield 1, f"file has {lines} lines, over {FILE_LINES}: split it"
    if vague := VAGUE & {part.strip("_") for part in path.relative_to(ROOT).with_suffix("").parts}:
        yield 1, f"`{vague.pop()}` says nothing: name the module by what it is about"
    for node in ast.walk(ast.parse(source, path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from too_large(node, data=path.is_relative_to(ROOT / "tests"))
        elif isinstance(node, ast.Constant) and node.value in vendors - {path.stem} and path.is_relative_to(PACKAGE):
            yield node.lineno, f"`{node.value}` is a vendor: say it in providers/presets, not in code"


def too_large(function: ast.FunctionDef | ast.AsyncFunctionDef, *, data: bool) -> Iterator[tuple[int, str]]:
    """A function's size; where functions carry `data` (snapshots in tests), its length is free."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if lines > FUNCTION_LINES and not data:
        yield function.lineno, f"`{function.name}` has {lines} lines, over {FUNCTION_LINES}: split it"
    arguments = function.args
    names = [arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    if (count := len(names) - (names[:1] in (["self"], ["cls"]))) > PARAMETERS:
        yield function.lineno, f"`{function.name}` has {count} parameters, over {PARAMETERS}: give them a type"


def main() -> int:
    vendors = {preset.stem for preset in PRESETS.glob("*.toml")} - PROTOCOLS - TYPES
    files = sorted(path for top in ("src", "tests", "bench", "tools") for path in (ROOT / top).rglob("*.py"))
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {fault}" for path in files for line, fault in sorted(broken(path, vendors))
    ]
    print(*faults or [f"House rules: {len(files)} files, all kept"], sep="\n")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
