"""Gemini's generationConfig: parsing and rendering."""

from types import UnionType

from modelbay.conversation import Extra, Json, OutputFormat, Reasoning, Settings
from modelbay.dialect import Dialect
from modelbay.errors import Unsupported
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols.efforts import LEVELS, nearest
from modelbay.protocols.google.case import Fields, camel, written
from modelbay.protocols.schema import json_schema
from modelbay.protocols.shapes import as_integer, as_number

PLACE = "generationConfig."
_THINKING = "generationConfig.thinkingConfig."
_JSON = "application/json"
_ORIGINAL = "original."
"""Key in an output format's `extra`: media type, the field of its schema, and the schema as it was written."""

_SAME: dict[str, tuple[str, type | UnionType]] = {
    "temperature": ("temperature", int | float),
    "top_p": ("topP", int | float),
    "top_k": ("topK", int | float),
    "max_output_tokens": ("maxOutputTokens", int),
    "stop": ("stopSequences", list),
    "n": ("candidateCount", int),
    "seed": ("seed", int),
    "presence_penalty": ("presencePenalty", int | float),
    "frequency_penalty": ("frequencyPenalty", int | float),
    "logprobs": ("responseLogprobs", bool),
    "top_logprobs": ("logprobs", int),
}
"""Settings that are a field with the same value, and its type. Other values are passed on, for Google to reject."""
_NUMERIC = (int, int | float)
_SCHEMAS = ("responseJsonSchema", "responseSchema")
_DEFAULT_LEVEL = "THINKING_LEVEL_UNSPECIFIED"
_DEFAULT_KIND = "MODALITY_UNSPECIFIED"
_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
"""Google's own table for `reasoning_effort`. 24,576 is the maximum that every model with budgets accepts."""


# --- parsing -----------------------------------------------------------------------------------------------------------


def parse_generation(value: Json, settings: Settings) -> None:
    if value is None:
        return
    if not isinstance(value, dict):
        raise Unsupported("`generationConfig` must be an object", setting="generationConfig")
    config, snake = camel(value)
    for name in snake:
        settings.spelling[PLACE + name] = name
    rest = {name: item for name, item in config.items() if item is not None}
    for setting, (name, kind) in _SAME.items():
        if kind in _NUMERIC and name in rest:
            rest[name] = as_number(rest[name])
        if kind is int and name in rest:
            rest[name] = as_integer(rest[name])
        if isinstance(rest.get(name), kind) and (kind is bool or not isinstance(rest[name], bool)):
            setattr(settings, setting, rest.pop(name))
    _parse_format(rest, settings)
    if isinstance(rest.get("thinkingConfig"), dict):
        _parse_thinking(rest.pop("thinkingConfig"), settings)
    kinds = rest.get("responseModalities")
    if isinstance(kinds, list) and all(isinstance(kind, str) and kind != _DEFAULT_KIND for kind in kinds):
        del rest["responseModalities"]
        settings.modalities = [kind.lower() for kind in kinds]
        if any(kind != kind.upper() for kind in kinds):
            settings.spelling["modalities"] = " ".join(kinds)
    settings.extra |= {PLACE + name: item for name, item in rest.items()}


def _parse_format(rest: Fields, settings: Settings) -> None:
    """Take the output format out of the remaining config."""
    for name in _SCHEMAS:
        if not isinstance(rest.get(name), dict | None):
            settings.keep_unknown(PLACE + name, rest[name], "a schema")
    media_type = rest.get("responseMimeType")
    field = next((name for name in _SCHEMAS if isinstance(rest.get(name), dict)), None)
    if field is not None and media_type in (None, _JSON):
        original = rest.pop(field)
        schema = json_schema(original) if field == "responseSchema" else original
        form = OutputFormat("json_schema", schema=schema)
        form.extra = {
            _ORIGINAL: {"type": media_type, "field": field} | ({"schema": original} if original != schema else {})
        }
    elif media_type == _JSON:
        form = OutputFormat("json")
    elif media_type == "text/plain" and field is None:
        form = OutputFormat("text")
    else:
        if media_type is not None:  # such as text/x.enum, which other protocols do not have
            known = ("text/plain", _JSON) if field is None else (_JSON,)
            settings.keep_unknown(f"{PLACE}responseMimeType", media_type, *known)
        return
    rest.pop("responseMimeType", None)
    settings.output_format = form
    settings.spelling["output_format"] = PLACE + (field or "responseMimeType")


def _parse_thinking(value: Fields, settings: Settings) -> None:
    config, snake = camel(value)
    for name in snake:
        settings.spelling[_THINKING + name] = name
    rest = {name: item for name, item in config.items() if item is not None}
    reasoning = Reasoning()
    level = rest.get("thinkingLevel")
    if level is not None and not isinstance(level, str):
        settings.keep_unknown(f"{_THINKING}thinkingLevel", level, *LEVELS)
    elif level is not None and level != _DEFAULT_LEVEL:
        settings.spelling["reasoning"] = rest.pop("thinkingLevel")
        reasoning.effort, reasoning.enabled = settings.spelling["reasoning"].lower(), True
    if type(budget := as_integer(as_number(rest.get("thinkingBudget")))) is int:
        del rest["thinkingBudget"]
        if budget == -1:  # no limit
            reasoning.adaptive = reasoning.enabled = True
        else:
            reasoning.budget, reasoning.enabled = budget, budget > 0
    if isinstance(rest.get("includeThoughts"), bool):
        shown = rest.pop("includeThoughts")
        reasoning.visibility = "shown" if shown else "hidden"
        if shown and reasoning.enabled is None:
            reasoning.enabled = True
    reasoning.extra = rest or None
    settings.reasoning = reasoning


# --- rendering ---------------------------------------------------------------------------------------------------------


def render_generation(settings: Settings, model: Model, dialect: Dialect, report: list[Warned], same: bool) -> Fields:
    config: Fields = {}
    for setting, (name, _) in _SAME.items():
        if (value := getattr(settings, setting)) is not None:
            config[name] = value
    if settings.modalities is not None:
        kinds = settings.spelling.get("modalities", "").split()
        same_kinds = [kind.lower() for kind in kinds] == settings.modalities
        config["responseModalities"] = kinds if same_kinds else [kind.upper() for kind in settings.modalities]
    if settings.output_format is not None:
        config |= _render_format(settings.output_format, dialect, same)
    if settings.reasoning is not None:
        if same:
            thinking = _render_thinking(settings.reasoning, settings.spelling.get("reasoning"))
            snake = [name.removeprefix(_THINKING) for name in settings.spelling if name.startswith(_THINKING)]
            config["thinkingConfig"] = written(thinking, snake)
        elif thinking := _map_thinking(settings.reasoning, model, report):
            config["thinkingConfig"] = thinking
    for name, value in settings.extra.items():
        if name.startswith(PLACE):
            config[name.removeprefix(PLACE)] = value
    names = [name.removeprefix(PLACE) for name in settings.spelling if name.startswith(PLACE)]
    return written(config, [name for name in names if "." not in name])


def _render_format(form: OutputFormat, dialect: Dialect, same: bool) -> Fields:
    if form.kind == "text":
        return {"responseMimeType": "text/plain"} if same else {}
    if form.kind == "json":
        return {"responseMimeType": _JSON}
    given: Extra = (form.extra or {}).get(_ORIGINAL, {}) if same else {}
    config: Fields = {} if given and given["type"] is None else {"responseMimeType": given.get("type", _JSON)}
    if given.get("field") == "responseSchema":
        original = given.get("schema", form.schema)
        return config | {"responseSchema": original if json_schema(original) == form.schema else form.schema}
    if not same and dialect.schema == "openapi":
        return config | {"responseSchema": form.schema} if isinstance(form.schema, dict) else config
    return config | ({} if form.schema is None else {"responseJsonSchema": form.schema})


def _render_thinking(reasoning: Reasoning, level: str | None) -> Fields:
    """The reasoning settings of a Gemini client."""
    config: Fields = {}
    if reasoning.effort is not None:
        config["thinkingLevel"] = level if level is not None and level.lower() == reasoning.effort else reasoning.effort
    if reasoning.budget is not None:
        config["thinkingBudget"] = reasoning.budget
    elif reasoning.adaptive:
        config["thinkingBudget"] = -1
    if reasoning.visibility is not None:
        config["includeThoughts"] = reasoning.visibility != "hidden"
    return config | (reasoning.extra or {})


def _map_thinking(reasoning: Reasoning, model: Model, report: list[Warned]) -> Fields:
    """The reasoning settings of another protocol's client or of a program: levels for models that have them, else
    budgets."""
    if reasoning.enabled is False:
        return {"thinkingLevel": model.off_effort} if model.off_effort else {"thinkingBudget": 0}
    config: Fields = {}
    if model.efforts:
        wanted = reasoning.effort or _level_of(reasoning.budget)
        if wanted is not None:
            config["thinkingLevel"] = nearest(wanted, model.efforts, model.alias or model.id, report)
    elif reasoning.budget is not None:
        config["thinkingBudget"] = reasoning.budget
    elif reasoning.effort in _BUDGETS:
        config["thinkingBudget"] = _BUDGETS[reasoning.effort]
    if not reasoning.hidden:
        config["includeThoughts"] = True
    return config


def _level_of(budget: int | None) -> str | None:
    if budget is None:
        return None
    return next((level for level in ("low", "medium", "high") if budget <= _BUDGETS[level]), "high")
