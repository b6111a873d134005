"""The model that a client asks for by name. Clients insist on names of their own, such as `claude-haiku-4-5`."""

import re

from msgspec.structs import replace

from modelbay.config.schema import Config, ModelEntry, Problem, did_you_mean
from modelbay.errors import UnknownModel

RESOURCE = "models/"
"""Gemini's clients write a model as a resource name."""
LONGEST = 500
"""Maximum characters of a name. A client may send any text as a name; matching a pattern takes time that grows with it."""
SHOWN = 100
"""Maximum characters of a name in an error."""
LIST = "list the models: GET /v1/models"
MOST = 1_000
"""Maximum number of cached names. `provider/model-id` needs no entry, so the number of valid names has no limit."""


class ModelNames:
    """The names that clients can use with one configuration, in this order:

    1. an exact name of `[gateway.names]`
    2. any name that works everywhere in modelbay: an alias, another alias, `provider/model-id`
    3. the ID of a model at its provider, if only one configured model has it
    4. a pattern of `[gateway.names]`, the one with the most other characters first; a `*` in its model is the text that the
       first `*` of the pattern matches, so that `"claude-*" = "*"` gives every model a name that begins with `claude-`

    Each may end in `:variant`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        names = config.gateway.names if config.gateway else {}
        self._exact = {name: model for name, model in names.items() if "*" not in name}
        patterns = sorted((name for name in names if "*" in name), key=lambda name: name.count("*") - len(name))
        self._patterns = [(_pattern(name), names[name]) for name in patterns]
        self._by_id: dict[str, list[ModelEntry]] = {}
        for entry in config.models.values():
            self._by_id.setdefault(entry.model, []).append(entry)
        self._found: dict[str, ModelEntry] = {}

    def find(self, asked: str | None) -> ModelEntry:
        """The model for a name; without a name, the default model.

        Raises:
            UnknownModel: no model has the name, several have it, or its entry cannot be used. The message is for the client: it
                contains no path of this machine.
        """
        asked = asked or self._config.default_model or ""
        found = self._found.get(asked)
        if found is None:
            found = self._find(self._without_resource(asked))
            if len(self._found) >= MOST:
                self._found.clear()
            self._found[asked] = found
        return found

    def _without_resource(self, name: str) -> str:
        return name if RESOURCE.rstrip("/") in self._config.providers else name.removeprefix(RESOURCE)

    def _find(self, name: str) -> ModelEntry:
        if len(name) > LONGEST:
            raise UnknownModel(f'no model "{_short(name)}"', hint=LIST)
        if not name:
            raise UnknownModel("no model given, and no default model is set", hint=LIST)
        stem, _, variant = name.rpartition(":")
        if name in self._exact:
            return self._mapped(name, self._exact[name])
        if stem in self._exact:
            entry = self._mapped(stem, self._exact[stem])
            if variant in entry.variants:
                return replace(entry, variant=variant)
        try:
            return self._config.model(name)
        except UnknownModel:
            if problem := self._problem(name) or self._problem(stem):
                raise _unusable(f'model "{_short(name)}"', problem) from None
        found = self._by_id.get(name) or [
            replace(entry, variant=variant) for entry in self._by_id.get(stem, ()) if variant in entry.variants
        ]
        if len(found) == 1:
            return found[0]
        if found:
            aliases = ", ".join(entry.alias for entry in found)
            raise UnknownModel(f'several models have the ID "{_short(name)}"', hint=f"use one of: {aliases}")
        for pattern, model in self._patterns:
            if (matched := pattern.fullmatch(name)) is not None:
                if "*" in model and not self._names_model(model.replace("*", matched[1])):
                    continue  # a wider pattern may have a model for it
                entry = self._mapped(name, model.replace("*", matched[1]))
                return replace(entry, variant=variant) if variant in entry.variants and not entry.variant else entry
        raise UnknownModel(f'no model "{_short(name)}"', hint=self._hint(name))

    def _names_model(self, name: str) -> bool:
        """Whether a name is that of a model, or of a broken entry, which is reported."""
        try:
            self._config.model(name)
        except UnknownModel:
            return self._problem(name) is not None
        return bool(name)  # without a name, it is the default model

    def listed(self) -> list[str]:
        """The names that lists of models show besides aliases: exact names of `[gateway.names]`, and those that its patterns give
        to aliases."""
        names = self._config.gateway.names if self._config.gateway else {}
        found = list(self._exact)
        for pattern, model in names.items():
            if pattern.count("*") == 1 and model.count("*") == 1:
                aliases = _pattern(model)
                matches = (aliases.fullmatch(alias) for alias in self._config.models)
                found += [pattern.replace("*", matched[1]) for matched in matches if matched is not None]
        return list(dict.fromkeys(found))

    def _mapped(self, name: str, model: str) -> ModelEntry:
        """The model that `[gateway.names]` sets for a name."""
        try:
            return self._config.model(model)
        except UnknownModel:
            subject = f'model "{model}", which [gateway.names] sets for "{_short(name)}",'
            if problem := self._problem(model):
                raise _unusable(subject, problem) from None
            raise UnknownModel(f"{subject} does not exist", hint=did_you_mean(model, self._models()) or LIST) from None

    def _problem(self, name: str) -> Problem | None:
        """The reason why the entry of a model, or of the provider in its name, cannot be used."""
        provider, slash, _ = name.partition("/")
        return self._config.problem_of("models", name) or (
            self._config.problem_of("providers", provider) if slash else None
        )

    def _hint(self, name: str) -> str:
        stem = name.rpartition(":")[0]
        try:
            entry = self._config.model(stem) if stem else None
        except UnknownModel:
            entry = None
        if entry is not None and entry.variants:
            return f"the variants of {stem} are {', '.join(entry.variants)}"
        mapped = [mapped for mapped, model in self._exact.items() if self._names_model(model)]
        return did_you_mean(name, [*self._models(), *mapped]) or LIST

    def _models(self) -> list[str]:
        """The names that models have themselves."""
        models = self._config.models.values()
        more = [alias for entry in models for alias in entry.aliases]
        ids = [id for id, entries in self._by_id.items() if len(entries) == 1]
        return [*self._config.models, *more, *ids]


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, name.split("*"))), re.DOTALL)


def _unusable(subject: str, problem: Problem) -> UnknownModel:
    return UnknownModel(f"{subject} cannot be used: {problem.where}: {problem.message}", hint=problem.hint)


def _short(name: str) -> str:
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}…"
