"""The plan of a launch: the row of an agent and the facts of the launch become variables, arguments and files. It does no I/O."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.agents.agent import ExportedConfig
from modelbay.agents.gateway_provider import RETRIES
from modelbay.agents.write import render
from modelbay.conversation import Protocol
from modelbay.launching.program import (
    CATALOG,
    EACH,
    KEY_VARIABLE,
    MODEL_PLACEHOLDERS,
    PLACEHOLDER,
    SECRETS,
    AgentProgram,
    PlannedFileRow,
    ProtocolRow,
)
from modelbay.model import Model
from modelbay.protocols.limits import reduced_budget
from modelbay.providers import urls
from modelbay.secrecy import Hidden
from modelbay.serving.model_lists import ModelList

_OMITTED = object()
"""The result of a template that names an unknown fact."""

Facts = Mapping[str, object]


class LaunchModel(Struct, frozen=True, kw_only=True):
    """A model that the agent can use."""

    id: str
    """The model's name in requests: the alias at the gateway, or the provider's ID."""
    key: str
    """The model's name in an exported file."""
    facts: Model
    effort: str | None = None
    """The reasoning effort that the user set."""

    @property
    def context(self) -> int | None:
        """The context window in tokens; None if unknown."""
        return self.facts.max_context_tokens or self.facts.max_input_tokens


class LaunchTarget(Struct, frozen=True, kw_only=True):
    """The server that the agent calls, and its models."""

    provider: str
    """ID of the provider in an exported file."""
    base_url: str
    protocol: Protocol
    key: Hidden
    """The API key of the server."""
    through_gateway: bool
    vendor: str = ""
    """The vendor of the model's provider; "" if it is unknown."""
    bearer: bool = True
    """Whether the server expects the key in the header `Authorization`."""
    model: LaunchModel
    small: LaunchModel
    """The model for small tasks."""
    models: Sequence[LaunchModel]
    """All models that the agent offers."""
    exported: ExportedConfig | None = None
    """The configuration for the agent's `exporter`."""


class PlannedFile(Struct, frozen=True):
    """A file in the private folder of the launch."""

    path: str
    content: ExportedConfig
    """Merged into the user's file if it was copied."""


class LaunchPlan(Struct):
    """How to start the agent."""

    environment: dict[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    """Variables that the agent must not inherit."""
    arguments: list[str] = field(default_factory=list)
    """Arguments of the agent, before those of the user."""
    files: list[PlannedFile] = field(default_factory=list)


def plan(program: AgentProgram, target: LaunchTarget, folder: str, version: str = "") -> LaunchPlan:
    """The plan for a target. `folder`: the path of the private folder. `version`: that of the agent; "" if it is unknown."""
    row = program.by_protocol.get(target.protocol, ProtocolRow())
    facts = _facts(program, target, folder) | _catalog_facts(program, target, folder, version)
    facts |= dict.fromkeys(name for other in program.by_protocol.values() for name in other.values)
    facts |= {name: _text(value, facts) for name, value in row.values.items()}
    each = [_model_facts(program, model, target.protocol) for model in target.models]
    result = LaunchPlan(unset=program.unset)
    for name, template in {**program.environment, **row.environment}.items():
        if (value := _text(template, facts)) is not None:
            result.environment[name] = value
    if program.home is not None:
        result.environment[program.home.variable] = folder
    facts["environment"] = dict.fromkeys(program.unset, "") | result.environment
    for group in (*program.arguments, *row.arguments):
        words = [_text(word, facts) for word in group]
        if None not in words:
            result.arguments += [word for word in words if word is not None]
    for file in program.files:
        content = _content(file, target, facts, each)
        if not content.settings and file.content and not file.exported:
            continue  # all that it would contain is unknown
        if file.variable:
            result.environment[file.variable] = render(content)
        else:
            result.files.append(PlannedFile(file.path, content))
    return result


def _facts(program: AgentProgram, target: LaunchTarget, folder: str) -> dict[str, object]:
    base = urls.versioned(target.base_url, target.protocol)
    through, small = target.through_gateway, _model_facts(program, target.small, target.protocol)
    main = _model_facts(program, target.model, target.protocol)
    return main | {
        "small": small["model"],
        "small_key": small["model_key"],
        "provider": target.provider,
        "base_url": base,
        "root_url": urls.VERSION.sub("", base.rstrip("/")),
        "unlisted_context": None if through else main["context"],
        "key": target.key,
        "bearer_key": target.key if target.bearer else None,
        "header_key": None if target.bearer else target.key,
        "key_variable": KEY_VARIABLE,
        "protocol": target.protocol,
        "folder": folder,
        "attribution": 0 if program.maker and target.vendor != program.maker else None,
        "retries": 0 if through else None,
        "gateway_retries": ("0" if program.repeats else str(RETRIES)) if through else None,
    }


def _catalog_facts(program: AgentProgram, target: LaunchTarget, folder: str, version: str) -> dict[str, object]:
    """The facts about the model list of the gateway."""
    found: dict[str, object] = dict.fromkeys(("catalog_url", "catalog_file", "catalog"))
    row = program.catalog
    if not target.through_gateway:
        return found
    if row is None or row.reads_url(version):
        return found | {"catalog_url": f"{urls.versioned(target.base_url, target.protocol)}/models"}
    models = [replace(model.facts, id=model.id, name=model.facts.name or model.id) for model in target.models]
    listed = ModelList(models, target.base_url, client_version=version)
    return found | {"catalog_file": f"{folder}/{CATALOG}", "catalog": listed.items(row.form)}


def _model_facts(program: AgentProgram, model: LaunchModel, protocol: Protocol) -> dict[str, object]:
    """The facts about a model, by the names of `MODEL_PLACEHOLDERS`."""
    known = model.facts
    context = model.context
    is_long = program.long_context is not None and context is not None and context >= program.long_context
    lower = known.max_output_tokens is not None and known.max_output_tokens < program.usual_output
    found: dict[str, object] = {
        "model": f"{model.id}{program.long_suffix}" if is_long else model.id,
        "model_key": model.key,
        "model_name": known.name or model.id,
        "context": context,
        "output": known.max_output_tokens,
        "lower_output": known.max_output_tokens if lower else None,
        "is_short": None if context is None or is_long or program.long_context is None else 1,
        "effort": program.effort(model.effort),
        "efforts": known.efforts,
        "thinking": known.can("thinking"),
        "thinking_budget": _thinking_budget(program, known) if protocol == "anthropic" else None,
        "tools": known.can("tool_use"),
        "images": known.can("image_in"),
        "image_kind": "image" if known.can("image_in") else None,
        "no_images": None if known.can("image_in") is None else not known.can("image_in"),
        "pdfs": known.can("document_in"),
        "audio": known.can("audio_in"),
        "videos": known.can("video_in"),
        "temperature": known.can("temperature"),
        "capabilities": ",".join(name for name, has in known.capabilities.items() if has) or None,
    }
    assert found.keys() == MODEL_PLACEHOLDERS
    return found


def _thinking_budget(program: AgentProgram, model: Model) -> int | None:
    """See `thinking_budget` in `MODEL_PLACEHOLDERS`."""
    most = model.max_output_tokens or program.usual_output
    return reduced_budget(most) if most <= program.usual_output else None


def _content(file: PlannedFileRow, target: LaunchTarget, facts: Facts, each: list[dict[str, object]]) -> ExportedConfig:
    """The content of a file. The chosen model is a setting like any other: it overrides that of the user's file."""
    config = ExportedConfig(file.form)
    if file.exported and target.exported is not None:
        config = target.exported
    settings = config.settings | config.default_model
    filled = _filled(file.content, facts, each)
    if isinstance(filled, dict):
        settings |= {(name,): value for name, value in filled.items()}
    return ExportedConfig(file.form, settings=settings, entries=config.entries, related=config.related)


def _filled(template: Any, facts: Facts, each: list[dict[str, object]]) -> Any:
    """A template of a file with its facts; `_OMITTED` if one is unknown. `each`: the facts about each offered model."""
    if isinstance(template, str):
        whole = PLACEHOLDER.fullmatch(template)
        if whole and not whole[2]:
            return _OMITTED if facts[whole[1]] is None else facts[whole[1]]
        text = _text(template, facts)
        return _OMITTED if text is None else text
    if isinstance(template, list):
        items: list[Any] = []
        for item in template:
            repeated = isinstance(item, dict) and item.get(EACH) == "model"
            rest = {key: value for key, value in item.items() if key != EACH} if repeated else item
            items += [_filled(rest, {**facts, **one}, each) for one in (each if repeated else [{}])]
        return [item for item in items if item is not _OMITTED]
    if not isinstance(template, dict):
        return template
    table: dict[str, Any] = {}
    for key, value in template.items():
        repeated = any(found[1] in MODEL_PLACEHOLDERS for found in PLACEHOLDER.finditer(key))
        for one in each if repeated else [{}]:
            there = {**facts, **one}
            name, content = _text(key, there), _filled(value, there, each)
            if name is not None and content is not _OMITTED:
                table[name] = content
    return table if table or not template else _OMITTED


def _text(template: str, facts: Facts) -> str | None:
    """A template as text; None if a fact in it is unknown."""
    used = [found[1] for found in PLACEHOLDER.finditer(template)]
    if any(facts[name] is None for name in used):
        return None
    text = PLACEHOLDER.sub(lambda found: _written(facts[found[1]], quoted=bool(found[2])), template)
    return Hidden(text) if SECRETS.intersection(used) else text


def _written(value: object, *, quoted: bool) -> str:
    if quoted or not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return value
