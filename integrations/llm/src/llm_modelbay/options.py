"""The settings of modelbay's calls as options of llm."""

import ast
import inspect
from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import llm
from msgspec import Meta
from pydantic import BeforeValidator, Field, Json, create_model

from modelbay import Ask

OF_THE_PROMPT = frozenset({"system", "files", "tools", "tool_choice", "output", "output_format"})
"""Settings that llm has elsewhere."""


def _options() -> type[llm.Options]:
    described = _descriptions()
    fields: dict[str, Any] = {}
    for name, hint in get_type_hints(Ask, include_extras=True).items():
        if name not in OF_THE_PROMPT:
            fields[name] = (_type(hint), Field(default=None, description=described.get(name)))
    made: type[llm.Options] = create_model("Options", __base__=llm.Options, **fields)
    return made


def _type(hint: Any) -> Any:
    """The type of an option. `-o NAME VALUE` gives texts, so that lists and tables are written in JSON."""
    inner = next(one for one in get_args(hint) if one is not type(None))
    if get_origin(inner) is Annotated:
        kind, *limits = get_args(inner)
        bounds = {
            word: getattr(limit, word) for limit in limits if isinstance(limit, Meta) for word in ("ge", "gt", "le")
        }
        return Annotated[kind, Field(**{word: bound for word, bound in bounds.items() if bound is not None})] | None
    if get_origin(inner) is not None and issubclass(get_origin(inner), Mapping):
        return dict[str, Any] | Json[dict[str, Any]] | None
    if get_origin(inner) is not None:
        return Annotated[list[str] | None, BeforeValidator(_listed)]
    return inner | None


def _listed(value: Any) -> Any:
    """A text that is not a list in JSON is the only item."""
    return [value] if isinstance(value, str) else value


def _descriptions() -> dict[str, str]:
    """The docstrings of the settings."""
    [made] = ast.parse(inspect.getsource(Ask)).body
    assert isinstance(made, ast.ClassDef)
    found: dict[str, str] = {}
    for field, text in zip(made.body, made.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(ast.literal_eval(text.value).split())
    return found


Options = _options()
