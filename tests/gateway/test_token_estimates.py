"""Estimates of input tokens: near to what providers reported, for every script and kind of content, and fast."""

from base64 import b64encode
from statistics import median
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from modelbay.catalog.knowledge import known
from modelbay.conversation import (
    Conversation,
    Media,
    Protocol,
    ServerToolCall,
    ServerToolResult,
    Settings,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
    UnknownPart,
    user,
)
from modelbay.dialect import PLAIN
from modelbay.events import collect
from modelbay.gateway.image_sizes import image_size
from modelbay.gateway.token_estimates import estimate, text_tokens
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from tests.corpus import exchanges
from tests.processor_time import growth

CLAUDE, GPT, GPT_4O = (
    Model("claude-sonnet-4-5", family="claude"),
    Model("gpt-5", family="gpt"),
    Model("gpt-4o", family="gpt"),
)
GEMINI, GEMINI_2 = Model("gemini-3-pro", family="gemini"), Model("google/gemini-2.5-flash", family="gemini")
UNKNOWN = Model("some-model")


def asks(*parts: Any, **settings: Any) -> Conversation:
    return Conversation([Turn("user", [Text(text="What is this?"), *parts])], Settings(**settings))


def added(model: Model, *parts: Any, **settings: Any) -> int:
    """The tokens that parts or settings add."""
    return estimate(asks(*parts, **settings), model) - estimate(asks(), model)


# --- texts -------------------------------------------------------------------------------------------------------------

COUNTED = [
    (
        "The tide is the rise and fall of the sea. It is caused by the pull of the moon and the sun, and by the turning of "
        "the earth. Most coasts have two high tides and two low tides a day, about twelve hours apart.",
        51,
    ),
    (
        'def tide(day: int, harbour: str = \'Hamburg\') -> float:\n    """The height of the tide in metres."""\n    table = '
        "load_table(harbour)\n    if day not in table:\n        raise KeyError(f'no entry for day {day}')\n    "
        "return sum(table[day]) / len(table[day])\n",
        69,
    ),
    (
        '{"city":"Hamburg","days":[{"date":"2026-11-29","high":3.42,"low":0.81},{"date":"2026-11-30","high":3.38,"low":0.79}],'
        '"unit":"m"}',
        56,
    ),
    (
        "Die Gezeiten sind die Bewegungen des Meeres, die durch die Anziehung von Mond und Sonne entstehen. An den meisten Küsten "
        "gibt es täglich zweimal Hochwasser und zweimal Niedrigwasser.",
        39,
    ),
    (
        "Прилив и отлив происходят из-за притяжения Луны и Солнца. На большинстве побережий вода поднимается и опускается два раза "  # noqa: RUF001
        "в сутки.",
        37,
    ),
    (
        "潮汐是海水在月球和太阳引力作用下产生的周期性涨落现象。大多数海岸每天有两次高潮和两次低潮，相隔大约十二个小时。",  # noqa: RUF001
        46,
    ),
    (
        "潮の満ち引きは、月と太陽の引力によって起こります。ほとんどの海岸では、一日に二回の満潮と二回の干潮があります。",
        44,
    ),
    ("밀물과 썰물은 달과 태양의 인력 때문에 일어난다. 대부분의 해안에서는 하루에 두 번 물이 차고 두 번 빠진다.", 38),
    ("يحدث المد والجزر بسبب جاذبية القمر والشمس، وفي معظم السواحل يرتفع الماء وينخفض مرتين كل يوم.", 29),
    ("ज्वार और भाटा चंद्रमा और सूर्य के आकर्षण के कारण होते हैं। अधिकांश तटों पर पानी दिन में दो बार चढ़ता और उतरता है।", 37),
]
"""Texts with the number of tokens that GPT-4o's tokenizer makes of them."""


@pytest.mark.parametrize(("text", "tokens"), COUNTED)
def test_a_text_of_any_script_is_estimated_within_a_quarter(text: str, tokens: int) -> None:
    assert text_tokens(text) == pytest.approx(tokens, rel=0.25)


def test_many_short_texts_count_as_one_long_one() -> None:
    long = user("One two three. " * 100)
    short = Turn("user", [Text(text="One two three. ")] * 100)
    assert estimate(Conversation([long]), GPT) == pytest.approx(estimate(Conversation([short]), GPT), abs=2)


def test_a_text_that_is_too_long_to_be_read_completely_is_estimated_from_its_slices() -> None:
    texts = [text * count for text, _ in COUNTED for count in (10, 50, 20)] * 6
    assert sum(map(len, texts)) > 500_000
    assert text_tokens("".join(texts)) == pytest.approx(sum(map(text_tokens, texts)), rel=0.05)


def test_an_estimate_takes_time_in_proportion_to_the_text() -> None:
    few, many = ([user("The tide is high.\n" * 20)] * count for count in (100, 1000))
    assert growth(lambda: estimate(Conversation(few), CLAUDE), lambda: estimate(Conversation(many), CLAUDE)) < 20


def test_an_empty_conversation_has_one_token() -> None:
    assert estimate(Conversation(), GEMINI) == 1


# --- tools and thinking ------------------------------------------------------------------------------------------------


def test_tools_count_with_their_names_descriptions_and_schemas() -> None:
    small = Tool(name="tide", description="The tide.", schema={"type": "object", "properties": {}})
    large = replace(small, schema={"type": "object", "properties": {
        "city": {"type": "string", "description": "The name of a city with a harbour, in English."},
        "days": {"type": "array", "items": {"type": "object", "properties": {"day": {"enum": ["today", "tomorrow"]}}}},
    }})  # fmt: skip
    for model in (CLAUDE, GPT, GEMINI, UNKNOWN):
        assert 0 < added(model, tools=[small]) < added(model, tools=[large]) < added(model, tools=[large, small])
        assert added(model, tools=[Tool(kind="namespace", name="sea", tools=[small, large])]) == added(
            model, tools=[small, large]
        )
        assert added(model, tools=[large], tool_choice=ToolChoice("none")) == 0
    assert added(CLAUDE, tools=[small]) > 400, "its instructions for calling tools"


def test_only_thinking_of_the_current_tool_loop_counts() -> None:
    thought = Thinking(texts=["Let me see what the tide is like. " * 20], opaque="x" * 4000)
    call, result = ToolCall(name="tide", id="1"), ToolResult(call_id="1", parts=[Text(text="high")])
    turns = [user("The tide?"), Turn("assistant", [thought, call]), Turn("user", [result])]
    plain = [user("The tide?"), Turn("assistant", [call]), Turn("user", [result])]
    for model in (CLAUDE, GPT, GEMINI):
        assert estimate(Conversation(turns), model) > estimate(Conversation(plain), model) + 150
        old, none = (estimate(Conversation([*before, user("And now?")]), model) for before in (turns, plain))
        assert old == none


# --- media -------------------------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes(100)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes(10)


def jpeg(width: int, height: int) -> bytes:
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    thumbnail = b"\xff\xe1\x00\x14" + b"\xff\xc0" + bytes(16)
    return b"\xff\xd8" + thumbnail + b"\xff\xff\xc2\x00\x11\x08" + size + bytes(20)


def webp(kind: bytes, data: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + data + bytes(20)


@pytest.mark.parametrize(
    "data",
    [
        png(800, 600),
        gif(800, 600),
        jpeg(800, 600),
        webp(b"VP8X", bytes(4) + (799).to_bytes(3, "little") + (599).to_bytes(3, "little")),
        webp(b"VP8L", b"\x2f" + (799 | 599 << 14).to_bytes(4, "little")),
        webp(b"VP8 ", bytes(3) + b"\x9d\x01\x2a" + (800 | 1 << 14).to_bytes(2, "little") + (600).to_bytes(2, "little")),
    ],
    ids=["png", "gif", "jpeg", "webp", "webp-lossless", "webp-lossy"],
)
def test_the_size_of_an_image_is_in_its_header(data: bytes) -> None:
    assert image_size(data) == (800, 600)
    for length in range(len(data)):
        assert image_size(data[:length]) in ((800, 600), None)


def image(width: int, height: int, detail: str | None = None) -> Media:
    return Media(kind="image", data=b64encode(png(width, height)).decode(), media_type="image/png", detail=detail)


@pytest.mark.parametrize(
    ("model", "part", "tokens"),
    [
        (CLAUDE, image(800, 600), 664),
        (CLAUDE, image(4000, 3000), 1608),
        (CLAUDE, image(300, 3136), 329),
        (Model("claude-opus-5", family="claude"), image(2000, 1500), 4106),
        (GPT_4O, image(512, 512), 255),
        (GPT_4O, image(1024, 1024), 765),
        (GPT_4O, image(2048, 4096), 1105),
        (GPT_4O, image(2048, 4096, "low"), 85),
        (Model("gpt-4o-mini", family="gpt"), image(512, 512), 8500),
        (Model("gpt-4.1-mini", family="gpt"), image(1024, 1024), 1659),
        (GEMINI_2, image(600, 400), 258),
        (GEMINI_2, image(1500, 1000), 1032),
        (GEMINI, image(600, 400), 1080),
        (UNKNOWN, image(280, 280), 100),
        (GEMINI_2, Media(kind="image", url="https://example.com/sea.png"), 1032),
        (GEMINI_2, Media(kind="image", data="not an image"), 1032),
    ],
)
def test_an_image_counts_by_the_rule_of_its_model(model: Model, part: Media, tokens: int) -> None:
    assert added(model, part) == pytest.approx(tokens, abs=2)


def test_documents_count_by_pages_or_by_their_text() -> None:
    pages = b"%PDF-1.4" + b"<< /Type /Pages >>" + b"<< /Type /Page >>" * 3 + b"<</Type/Page>>"
    assert added(GEMINI_2, Media(kind="document", data=b64encode(pages).decode())) == 4 * 258
    packed = Media(kind="document", data=b64encode(b"%PDF-1.7" + bytes(200_000)).decode())
    assert added(GEMINI_2, packed) == pytest.approx(4 * 258, rel=0.01)
    text = "The tide is high. " * 50
    for document in (
        Media(kind="document", text=text),
        Media(kind="document", data=b64encode(text.encode()).decode(), media_type="text/plain"),
        Media(kind="document", parts=[Text(text=text)]),
    ):
        assert added(GPT, document) == pytest.approx(added(GPT, Text(text=text)), abs=2)


def test_audio_and_video_count_by_their_length() -> None:
    rate = (48_000).to_bytes(4, "little")
    wave = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0" + rate + bytes(480_000)
    assert added(GEMINI, Media(kind="audio", data=b64encode(wave).decode())) == pytest.approx(320, abs=2)
    assert added(GEMINI, Media(kind="audio", data=b64encode(bytes(160_000)).decode())) == pytest.approx(320, abs=2)
    assert added(GEMINI, Media(kind="video", data=b64encode(bytes(800_000)).decode())) == pytest.approx(900, abs=2)
    assert added(GEMINI, Media(kind="video", file_id="files/1")) == pytest.approx(2700, abs=2)


def test_media_in_the_results_of_tools_count() -> None:
    inside = ToolResult(call_id="1", parts=[image(600, 400)])
    assert added(GEMINI_2, inside) >= 258


# --- recorded requests -------------------------------------------------------------------------------------------------

FILES: dict[str, Protocol] = {
    "anthropic_messages": "anthropic", "google_genai": "google", "openai_chat": "openai_chat",
    "openai_responses": "openai_responses",
}  # fmt: skip
HIDDEN = ("mcp_servers", "context_management", "container", "plugins", "web_search_options", "search_parameters")
"""Fields of requests for which providers add content that is not in the request."""
AGGREGATORS = ("openrouter", "vercel", "huggingface", "pydantic-gateway")
"""They report tokens that they counted themselves."""


def ratios(family: str) -> list[tuple[int, float]]:
    """Native counts of recorded requests without media, and the estimates as ratios to them."""
    found = []
    for name, protocol in FILES.items():
        for exchange in exchanges(name):
            request, response = exchange.get("request") or {}, exchange.get("response") or {}
            body = request.get("json")
            if (
                response.get("status") != 200
                or not isinstance(body, dict)
                or not isinstance(response.get("json"), dict)
            ):
                continue
            facts = known(exchange["model"] or "", "", protocol).facts
            if (
                facts.family != family
                or exchange["provider"].startswith(AGGREGATORS)
                or any(field in body for field in HIDDEN)
            ):
                continue
            path = "/" + request["url"].partition("://")[2].partition("/")[2]
            if protocol == "google" and not isinstance(body.get("contents"), list):
                continue
            conversation = codec(protocol).parse_request(Call(path, body))
            parts = [part for turn in conversation.turns for part in turn.parts]
            parts += [inner for part in parts if type(part) is ToolResult for inner in part.parts]
            vendor = any(tool.kind == "vendor" for tool in conversation.settings.tools or ())
            if (
                vendor
                or conversation.settings.state
                or any(isinstance(part, Media | ServerToolCall | ServerToolResult | UnknownPart) for part in parts)
            ):
                continue
            usage = collect(codec(protocol).parse_reply(json_of(response), PLAIN)).usage
            if usage is not None and usage.input_total:
                tokens = estimate(conversation, Model(exchange["model"], family=family))
                found.append((usage.input_total, tokens / usage.input_total))
    return found


def json_of(response: dict[str, Any]) -> bytes:
    return msgspec.json.encode(response["json"])


@pytest.mark.parametrize(
    ("family", "middle", "share"),
    [
        ("claude", 0.03, 0.8),
        ("gpt", 0.06, 0.6),
        ("gemini", 0.06, 0.65),
        ("mistral", 0.05, 0.65),
        ("gpt-oss", 0.02, 0.9),
    ],
)
def test_estimates_are_near_the_counts_that_providers_reported(family: str, middle: float, share: float) -> None:
    """`middle`: the median error. `share`: the part of the requests whose error is at most a tenth. The counts of short
    requests are too small for that: most are estimated within a few tokens."""
    found = ratios(family)
    errors = [abs(ratio - 1) for tokens, ratio in found if tokens >= 50]
    near = sum(error <= 0.1 for error in errors) / len(errors)
    few = [abs(ratio - 1) * tokens for tokens, ratio in found if tokens < 50]
    assert len(errors) > 30
    assert (median(errors) <= middle, near >= share) == (True, True), (median(errors), near)
    assert median(few or [0]) < 8
