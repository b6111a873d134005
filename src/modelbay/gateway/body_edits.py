"""Changes of a client's body in place, as text: what its target needs and what does not concern messages or tools."""

from collections.abc import Iterable, Iterator
from typing import Any

from modelbay.calling.target import Target
from modelbay.events import Warned
from modelbay.gateway.pass_plan import LIMITS, SEEDS
from modelbay.json_members import ObjectText
from modelbay.protocols.codec import GROUPS
from modelbay.protocols.defaults import changes_nothing
from modelbay.protocols.dispositions import dropped
from modelbay.protocols.limits import output_clamped, output_limit, reduced_budget
from modelbay.protocols.pass_rules import PassRules, spellings
from modelbay.protocols.shapes import whole_number
from modelbay.providers.adaptation import Adaptation


class BodyEdits:
    """The changes of one body for one target."""

    def __init__(self, fields: ObjectText, rules: PassRules, target: Target) -> None:
        self.fields = fields
        self.report: list[Warned] = []
        self._rules = rules
        self._target = target
        self._protocol = target.upstream.protocol
        self._dialect = target.upstream.dialect

    def name_model(self) -> None:
        """Set the ID of the model on the wire, wherever the client named it."""
        id, named = self._target.model.id, self._rules.named
        if named is None:
            if not self._dialect.model_in_body or not id:
                self.fields.remove("model")
            elif self.fields.value("model") != id:
                self.fields.set("model", id)
            return
        for holder in (self.fields, self.fields.nested(_spelled(self.fields, "generateContentRequest"))):
            if holder is not None and "model" in holder:
                holder.set("model", named(id))
        if isinstance(requests := self.fields.value("requests"), list):  # a batch of embeddings
            models = [
                {**one, "model": named(id)} if isinstance(one, dict) and "model" in one else one for one in requests
            ]
            self.fields.set("requests", models)

    def limit_tokens(self, learned: int | None) -> None:
        """Reduce maximum output tokens to the model's limit, and thinking budgets that were below them with them. Set the
        maximum that the user configured, if the client sets none. `learned`: the limit that the provider reported."""
        model = self._target.model
        limit = min((most for most in (output_limit(model), learned) if most), default=None)
        known = [(*found, _number(found[0], found[1])) for found in self._places(self._rules.limits)]
        if not known and model.output_tokens_explicit and model.max_output_tokens is not None:
            self._add_limit(model.max_output_tokens)
        above = [
            (holder, name, value) for holder, name, value in known if limit and value is not None and value > limit
        ]
        if limit is None or not above:
            return
        for holder, name, value in above:
            _write_number(holder, name, limit)
            self.report.append(output_clamped(name, value, limit, model))
        before = max(value for _, _, value in above)
        for holder, name in self._places(self._rules.budgets):
            budget = _number(holder, name)
            if budget is not None and limit <= budget < before:
                _write_number(holder, name, reduced_budget(limit))

    def _add_limit(self, most: int) -> None:
        holder, _, name = self._rules.limits[0].rpartition(".")
        if not holder:
            own = self._dialect.max_tokens_parameter if self._protocol == "openai_chat" else None
            self.fields.set(own or name, most)
        elif (group := self.fields.nested(_spelled(self.fields, holder))) is not None:
            group.set(name, most)
        else:
            self.fields.set(holder, {name: most})

    def apply_dialect(self) -> None:
        """Parameters as the provider names them, and without those that it rejects."""
        if self._protocol == "openai_chat":
            self._rename(LIMITS, self._dialect.max_tokens_parameter)
            self._rename(SEEDS, self._dialect.seed_parameter)
        if not self._dialect.include_usage and (options := self.fields.nested("stream_options")) is not None:
            options.remove("include_usage")
            if not list(options):
                self.fields.remove("stream_options")
        self.add(self._dialect.body)
        group = self._rules.limits[0].rpartition(".")[0]
        for name in self._dialect.unsupported:
            for holder, written in self._places((name, f"{group}.{name}") if group else (name,)):
                if not changes_nothing(name, holder.value(written), self._protocol):
                    self.report.append(dropped(name, self._protocol, f"{self._dialect.vendor} rejects it"))
                holder.remove(written)

    def _rename(self, names: tuple[str, ...], wanted: str | None) -> None:
        for name in names:
            if wanted is None or name == wanted or name not in self.fields:
                continue
            if wanted in self.fields:
                self.fields.remove(name)
            else:
                self.fields.rename(name, wanted)

    def add(self, settings: dict[str, Any]) -> None:
        """Add settings. In objects that only group settings, the others stay."""
        for name, value in settings.items():
            written = _spelled(self.fields, name) if name in GROUPS else name
            group = self.fields.nested(written) if name in GROUPS and isinstance(value, dict) else None
            if group is None:
                self.fields.set(written, value)
            else:
                for inner, one in value.items():
                    group.set(inner, one)

    def learn(self, lesson: Adaptation) -> bool:
        """Apply a lesson about a parameter. Returns whether it changed the meaning of the request."""
        name = lesson.parameter
        if name not in self.fields or (lesson.beside is not None and lesson.beside not in self.fields):
            return False
        value = self.fields.value(name)
        if lesson.rename is not None and lesson.rename not in self.fields:
            self.fields.rename(name, lesson.rename)
        else:
            self.fields.remove(name)
        return not (lesson.drops and changes_nothing(name, value, self._protocol))

    def _places(self, places: Iterable[str]) -> Iterator[tuple[ObjectText, str]]:
        """The members that exist of those at some places: the objects that hold them, and their names as written."""
        for place in places:
            *outer, name = place.split(".")
            holder: ObjectText | None = self.fields
            for step in outer:
                holder = None if holder is None else holder.nested(_spelled(holder, step))
            if holder is not None and (written := _spelled(holder, name)) in holder:
                yield holder, written


def _spelled(holder: ObjectText, name: str) -> str:
    """The name of a member as it is written: Google's SDKs write camelCase or snake_case."""
    return name if name in holder else spellings(name)[-1]


def _number(holder: ObjectText, name: str) -> float | None:
    """A number, which may be written as a string; None if the value is something else."""
    value = holder.value(name)
    if isinstance(value, str):
        return whole_number(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _write_number(holder: ObjectText, name: str, value: int) -> None:
    quoted = (holder.raw(name) or b"").startswith(b'"')
    holder.write(name, b'"%d"' % value if quoted else b"%d" % value)
