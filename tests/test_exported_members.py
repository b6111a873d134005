"""The public surface is what `__all__` says: sorted, all there, and cheap to import."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from operator import attrgetter

import pytest

import modelbay
from modelbay import errors

HEAVY = ("aiohttp", "rich", "textual", "keyring", "google.auth", "uvicorn", "starlette", "genai_prices", "yaml")


def test_every_exported_name_is_there_and_they_are_sorted() -> None:
    assert modelbay.__all__ == sorted(modelbay.__all__)
    for name in modelbay.__all__:
        assert getattr(modelbay, name) is not None


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    assert not hasattr(modelbay, "Gateway")


def test_importing_the_hub_imports_nothing_heavy() -> None:
    code = f"import sys; from modelbay import Hub; print([m for m in {HEAVY} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "[]", ran.stderr


@pytest.mark.parametrize("name", [*modelbay.__all__, *(f"errors.{name}" for name in vars(errors) if name[0].isupper())])
def test_everything_exported_is_documented(name: str) -> None:
    """Classes with their fields and methods, and functions: also for a generated reference."""
    value = attrgetter(name)(modelbay)
    if not hasattr(value, "__module__") or not value.__module__.startswith("modelbay"):
        return
    if not inspect.isclass(value):
        assert value.__doc__
        return
    [node] = ast.parse(inspect.getsource(value)).body
    assert isinstance(node, ast.ClassDef)
    assert ast.get_docstring(node), name
    assert list(undocumented(node)) == []


def undocumented(node: ast.ClassDef) -> Iterator[str]:
    """The public fields and methods of a class without a docstring, and not in that of the class."""
    about = ast.get_docstring(node) or ""
    for member, following in pairwise([*node.body, ast.Pass()]):
        match member:
            case ast.AnnAssign(target=ast.Name(id=name)) if not name.startswith("_") and f"`{name}`" not in about:
                if not (isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)):
                    yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if not name.startswith("_"):
                setter = any(isinstance(one, ast.Attribute) for one in member.decorator_list)
                if not setter and not ast.get_docstring(member):
                    yield name


@pytest.mark.parametrize(
    ("name", "meant"), [("RateLimitError", "RateLimited"), ("BadRequestError", "BadRequest"), ("TimeOut", "TimedOut")]
)
def test_an_error_s_name_in_other_libraries_leads_to_ours(name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute .{name}.: did you mean modelbay.errors.{meant}"):
        getattr(errors, name)
    assert not hasattr(errors, "__wrapped__")
