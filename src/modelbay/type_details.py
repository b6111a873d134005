"""Details of declared types that msgspec does not read: descriptions in `Annotated`, the forms of times and decimal numbers, and
whether pydantic must read a type."""

from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

from msgspec import inspect as forms

_DECIMAL = r"^-?[0-9]+(\.[0-9]+)?$"
"""Pattern of numbers as texts. msgspec writes `format: decimal`, which is not a format of JSON Schema."""
_OF_PYDANTIC = ("pydantic", "annotated_types")
"""The packages of limits that pydantic reads."""


_MARKS = ("__struct_fields__", "__attrs_attrs__", "_fields")
"""Attributes of classes of msgspec and attrs, and of named tuples."""


def uses_pydantic(type: Any, seen: tuple[Any, ...] = ()) -> bool:
    """Whether a type, or one inside it, is a class of pydantic, or has limits that only pydantic reads."""
    if type in seen:
        return False
    if hasattr(type, "model_validate_json") or hasattr(type, "__pydantic_validator__"):
        return True
    if get_origin(type) is Annotated and any(map(_is_of_pydantic, type.__metadata__)):
        return True
    inside = [*get_args(type), *_fields(type).values()]
    return any(uses_pydantic(one, (*seen, type)) for one in inside)


def _is_of_pydantic(limit: Any) -> bool:
    return type(limit).__module__.partition(".")[0] in _OF_PYDANTIC


def _fields(type: Any) -> dict[str, Any]:
    """The types of the fields of a class; empty for other types."""
    cls = get_origin(type) or type
    if not (is_dataclass(cls) or is_typeddict(cls) or any(hasattr(cls, mark) for mark in _MARKS)):
        return {}
    try:
        return get_type_hints(cls, include_extras=True)
    except (NameError, TypeError):  # msgspec reports such types itself
        return {}


def add_details(form: forms.Type, schema: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> None:
    """Add details to the schema that msgspec wrote for a type. `form` is the type as msgspec describes it."""
    _add(form, schema, definitions, set())


def _add(form: forms.Type, schema: Any, definitions: dict[str, dict[str, Any]], seen: set[str]) -> None:
    while isinstance(form, forms.Metadata):
        form = form.type
    if not isinstance(schema, dict):
        return
    if isinstance(ref := schema.get("$ref"), str):
        name = ref.rpartition("/")[2]
        if name in seen or name not in definitions:
            return
        seen.add(name)
        schema = definitions[name]
    match form:
        case forms.DateTimeType():
            schema.setdefault("format", "date-time")
        case forms.TimeType():
            schema["format"] = "time"
        case forms.DecimalType():
            del schema["format"]
            schema["pattern"] = _DECIMAL
    for inner, inside in _inside(form, schema):
        _add(inner, inside, definitions, seen)


def _inside(form: forms.Type, schema: dict[str, Any]) -> list[tuple[forms.Type, Any]]:
    """The types inside a type, with their schemas."""
    match form:
        case forms.CollectionType(item_type=item):
            return [(item, schema.get("items"))]
        case forms.TupleType(item_types=items):
            return list(zip(items, schema.get("prefixItems", ()), strict=False))
        case forms.DictType(value_type=value):
            return [(value, schema.get("additionalProperties"))]
        case forms.UnionType(types=types):
            return list(zip(sorted(types, key=_place), _branches(schema), strict=False))
        case forms.StructType() | forms.DataclassType() | forms.TypedDictType() | forms.NamedTupleType():
            return _of_fields(form, schema)
    return []


def _of_fields(
    form: forms.StructType | forms.DataclassType | forms.TypedDictType | forms.NamedTupleType, schema: dict[str, Any]
) -> list[tuple[forms.Type, Any]]:
    hints = _fields(form.cls)
    properties = schema.get("properties")
    if properties is None:
        return list(zip([field.type for field in form.fields], schema.get("prefixItems", ()), strict=False))
    for field in form.fields:
        if (said := _description(hints.get(field.name))) is not None:
            properties[field.encode_name].setdefault("description", said)
    return [(field.type, properties[field.encode_name]) for field in form.fields]


def _description(hint: Any) -> str | None:
    """The description in `Annotated[int, "Years."]`, or of pydantic's `Field` or a `Doc` in it."""
    while get_origin(hint) not in (Annotated, None) and len(get_args(hint)) == 1:
        hint = get_args(hint)[0]  # of Required, NotRequired or ReadOnly
    for one in get_args(hint)[1:] if get_origin(hint) is Annotated else ():
        said = one if isinstance(one, str) else getattr(one, "description", None) or getattr(one, "documentation", None)
        if isinstance(said, str):
            return said
    return None


def _place(form: forms.Type) -> int:
    """The place of a type in the schema of a union, as msgspec orders them: classes of its own, then None, at the end."""
    while isinstance(form, forms.Metadata):
        form = form.type
    if isinstance(form, forms.NoneType):
        return 2
    return 1 if isinstance(form, forms.StructType) and not form.array_like else 0


def _branches(schema: dict[str, Any]) -> list[Any]:
    """The schemas of a union, of which msgspec puts those of its classes in a union of their own."""
    found: list[Any] = []
    for one in schema.get("anyOf", ()):
        found += one["anyOf"] if isinstance(one, dict) and "discriminator" in one else [one]
    return found
