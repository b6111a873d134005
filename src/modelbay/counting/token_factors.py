"""The factors of `token_factors.toml`: how many tokens models of a family count for each thing in a request."""

from fnmatch import fnmatch
from functools import cache
from typing import TypeVar

from msgspec import Struct, field

from modelbay.conversation import Protocol, Tool
from modelbay.conversion import convert
from modelbay.counting.image_rule import ImageRule
from modelbay.counting.tool_tokens import CallForm, ToolForm
from modelbay.dialect import Dialect
from modelbay.model import Model
from modelbay.shipped import shipped_files

TABLE = shipped_files("modelbay.counting") / "token_factors.toml"
FACTORS = (
    "base", "system", "turn", "tools", "tool", "property", "text", "schema", "document", "call", "result",
    "thinking", "opaque", "format", "has_format", "forced", "named", "added", "cited", "reasons", "media", "argument",
    "parallel", "provided", "has_json", "unreasoned", "no_system",
)  # fmt: skip
"""The factors of `TextFactors` that are multiplied by an amount."""


class FactorRow(Struct, frozen=True, kw_only=True):
    family: str
    """The family; "" is the default."""
    models: list[str] = field(default_factory=lambda: ["*"])
    """Patterns of model IDs, with or without the vendor before a slash. The first row that matches is used."""
    protocol: Protocol | None = None
    """The protocol that the provider is called with. Default: any."""
    bare: bool | None = None
    """Whether the provider's counts are bare: see `Dialect.bare_counts`. Default: either."""


class TextFactors(FactorRow, frozen=True, kw_only=True):
    """Tokens that models count for the contents of a conversation."""

    base: float = 0
    system: float = 0
    """For a system prompt, besides its text."""
    turn: float = 0
    tools: float = 0
    """For any number of tools: the instructions for calling them."""
    tool: float = 0
    defers: bool = False
    """Whether tools that the provider searches for the model count only after it has found them."""
    declares: bool = False
    """Whether deferred tools count from the beginning, and again after they were found."""
    property: float = 0
    """For each property in the schemas of tools."""
    tokenizer: str = "o200k"
    """The most similar tokenizer of `tokenizers/`."""
    text: float = 1
    """Factor for texts."""
    schema: float = 1
    """Factor for the tools in the form that the model reads."""
    tools_as: ToolForm = "json"
    document: float = 0
    """For a document that the model reads as text, besides its text."""
    call: float = 0
    argument: float = 0
    """For each argument of a call, besides its name and value."""
    calls_as: CallForm = "json"
    result: float = 0
    thinking: float = 1
    """Factor for thinking that counts."""
    opaque: float = 0
    """For 1,000 characters of encrypted reasoning that counts."""
    keeps_opaque: bool = False
    """Whether all encrypted reasoning counts. Default: only that in the current tool loop."""
    streamed_opaque: bool = False
    """Whether encrypted reasoning counts only in requests whose reply is streamed."""
    keeps_thinking: bool = False
    """Whether all texts of thinking count. Default: only those in the current tool loop; the provider removes older ones."""
    tagged: bool = False
    """Whether the text of a reply before `</think>` is thinking: templates of open models read it so."""
    continues: bool = False
    """Whether the model continues a last message of its own, so that its frame begins no other."""
    format: float = 0
    """Factor for the schema of an output format."""
    has_format: float = 0
    has_json: float = 0
    """For JSON without a schema."""
    forced: float = 0
    """For tools of which the model must call any."""
    named: float = 0
    """For a tool that the model must call."""
    parallel: float = 0
    """For tools of which the model may call several at once, besides `tools`."""
    added: float = 0
    """For a list of tools in the middle of a conversation."""
    cited: float = 0
    """For contents that the model can cite: the instructions for citations."""
    reasons: float = 0
    """For reasoning that is turned on."""
    unreasoned: float = 0
    """For reasoning that is turned off: some templates begin the reply with an empty one."""
    no_system: float = 0
    """For the system prompt that the template has if there is no other."""
    media: float = 1
    """Factor for the tokens of images, documents, audio and video."""
    provided: float = 1
    """Factor for the descriptions of the provider's own tools."""
    sealed: float = 0
    """Characters of each encrypted reasoning that do not count."""
    unused: bool = False
    """Whether tools count although the model must not call them."""
    tools_in_system: bool = False
    """Whether tools are part of the system prompt, which there is without another one then."""


class MediaFactors(FactorRow, frozen=True, kw_only=True):
    image: ImageRule
    page: float
    """For a page of a document, besides its text: most providers also read it as an image."""
    returned_page: float = 0
    """For a page of a document in the result of a tool; 0: like any page."""
    only_page: float = 0
    """For a document of one page that is the only file of a request; 0: like any page."""
    page_text: float = 0
    """For a character of the text of a document, without spaces."""
    audio: float
    """For a second of audio."""
    padded: float = 0
    """Seconds to a multiple of which audio is padded; 0: not at all."""
    video: float
    """For a second of video."""
    sound: float = 0
    """For a second of the sound of a video, in addition."""


class ProviderTool(Struct, frozen=True, kw_only=True):
    """A provider's own tool, whose description the provider adds."""

    family: str
    type: str
    """Pattern of the types of the tool: they end with a date."""
    tokens: float


class FactorTable(Struct):
    family: list[TextFactors]
    media: list[MediaFactors]
    provider_tool: list[ProviderTool] = field(default_factory=list)


@cache
def table_of(family: str) -> FactorTable:
    """The rows of a family and those of the default. To read all rows takes four times as long."""
    import tomllib

    rows = TABLE.read_text(encoding="utf-8").split("\n[[")[1:]
    read = [row for row in rows if f'\nfamily = "{family}"\n' in row or '\nfamily = ""\n' in row]
    found = tomllib.loads("".join([f"[[{row}\n" for row in read]))
    for row in [*found["family"], *found["media"]]:
        for factor in row.pop("factors").split(", "):  # in one text, as tomllib takes 10 ms for 600 numbers
            name, _, value = factor.partition(" ")
            row[name] = float(value) if value else True
    return convert(found, FactorTable)


_Row = TypeVar("_Row", bound=FactorRow)


def row_for(rows: list[_Row], model: Model, protocol: Protocol | None, dialect: Dialect) -> _Row:
    """The row for a model that is called with a protocol, in a provider's dialect."""
    whole = model.identity.lower()
    names = (whole, whole.rpartition("/")[2])
    found = (
        row
        for row in rows
        if row.family in ("", model.family)
        and row.protocol in (None, protocol)
        and row.bare in (None, dialect.bare_counts)
    )
    return next(row for row in found if any(fnmatch(name, pattern) for name in names for pattern in row.models))


def provided_tokens(tool: Tool, family: str) -> float | None:
    """The tokens of a provider's own tool; None if it is another tool, or an unknown one."""
    if tool.kind not in ("vendor", "search"):
        return None
    kind = tool.native or str((tool.raw or {}).get("type"))
    rows = table_of(family).provider_tool
    return next((row.tokens for row in rows if row.family == family and fnmatch(kind, row.type)), None)
