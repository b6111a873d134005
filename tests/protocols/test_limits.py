"""The limits of a target, which are data: no request is refused for a size, a range or a role that is known beforehand."""

from typing import Any

import pytest

from modelbay.catalog.knowledge import known
from modelbay.conversation import Conversation, Media, Reasoning, Settings, Text, Turn, user
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import Unsupported
from modelbay.model import Model
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.protocols.limits import within_output_limit
from modelbay.providers import presets
from tests.protocols.provider_rules import refusal

MODEL = Model(id="m", max_output_tokens=4000)
LONG = "user_" + "a" * 64 + "_account__session_" + "b" * 36


def asked(*turns: Turn, client: str | None = None, **settings: Any) -> Conversation:
    return Conversation(list(turns) or [user("Hi")], Settings(max_output_tokens=100, **settings), protocol=client)  # type: ignore[arg-type]


def sent(
    target: str, conversation: Conversation, dialect: Dialect = PLAIN, model: Model = MODEL
) -> tuple[dict[str, Any], list[str]]:
    call = codec(target).render_request(conversation, model, dialect)
    return call.body, [warning.message for warning in call.warnings]


# --- sampling ----------------------------------------------------------------------------------------------------------


def test_temperature_and_top_p_are_not_sent_to_claude_together():
    body, report = sent("anthropic", asked(temperature=0.3, top_p=0.9))
    assert (body["temperature"], "top_p" in body) == (0.3, False)
    assert report == ["`top_p` is not sent: it cannot be set together with `temperature`"]
    assert refusal("anthropic", asked(temperature=0.3, top_p=0.9)) is None


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "google"])
def test_temperature_and_top_p_are_sent_together_if_the_target_accepts_both(target):
    _, report = sent(target, asked(temperature=0.3, top_p=0.9))
    assert report == []


def test_one_of_them_alone_is_sent():
    assert sent("anthropic", asked(top_p=0.9))[0]["top_p"] == 0.9


@pytest.mark.parametrize(
    ("name", "together"),
    [
        ("claude-3-7-sonnet-20250219", True),
        ("claude-opus-4-20250514", True),
        ("claude-opus-4-1-20250805", False),
        ("claude-sonnet-4-5", False),
        ("claude-sonnet-9", False),
    ],
)
def test_which_claude_takes_both_is_known(name, together):
    found = known(name, "anthropic", "anthropic").dialect
    assert found["temperature_with_top_p"] is together
    dialect = Dialect(**found)
    assert ("top_p" in sent("anthropic", asked(temperature=0.3, top_p=0.9), dialect)[0]) is together
    # a client of Anthropic's own protocol is spared the same refusal
    client = asked(temperature=0.3, top_p=0.9, client="anthropic")
    assert ("top_p" in sent("anthropic", client, dialect)[0]) is together
    assert "top_p" in sent("anthropic", client)[0]


@pytest.mark.parametrize(("wanted", "got"), [(0.0, 0.01), (0.5, 0.5), (1.7, 1.0)])
def test_a_temperature_is_kept_within_the_vendor_s_range(wanted, got):
    preset = presets.by_id("minimax")
    assert preset is not None
    body, report = sent("openai_chat", asked(temperature=wanted), preset.dialect_of("openai_chat"))
    assert body["temperature"] == got
    assert bool(report) is (wanted != got)


def test_a_model_without_a_temperature_gets_none():
    model = Model(id="m", max_output_tokens=4000, capabilities={"temperature": False})
    body, report = sent("openai_responses", asked(temperature=0.3, top_p=0.5), model=model)
    assert not body.keys() & {"temperature", "top_p"}
    assert report == ["`temperature` is not sent: m does not accept it", "`top_p` is not sent: m does not accept it"]
    assert sent("openai_responses", asked(temperature=1), model=model)[0]["temperature"] == 1


# --- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("name", [LONG, "x" * 300, "short"])
def test_no_provider_refuses_a_long_user(target, name):
    assert refusal(target, asked(user=name, metadata={"k": "v"})) is None


def test_a_long_user_is_the_same_hash_each_time_so_that_caches_hold():
    first, report = sent("openai_chat", asked(user=LONG))
    again, _ = sent("openai_responses", asked(user=LONG))
    other, _ = sent("openai_chat", asked(user=LONG + "b"))
    assert first["user"] == again["user"] != other["user"]
    assert len(first["user"]) == 64
    assert report == ["`user` is sent as a hash: openai_chat accepts 64 characters"]
    assert sent("anthropic", asked(user=LONG))[0]["metadata"] == {"user_id": LONG}


@pytest.mark.parametrize(("vendor", "kept"), [("openai", False), ("openrouter", True)])
def test_each_vendor_has_its_own_limit(vendor, kept):
    preset = presets.by_id(vendor)
    assert preset is not None
    dialect, name = preset.dialect_of("openai_chat"), "u" * 100
    for client in (None, "openai_chat"):
        assert (sent("openai_chat", asked(user=name, client=client), dialect)[0]["user"] == name) is kept
    # an unknown endpoint decides which requests of its own protocol it accepts
    assert sent("openai_chat", asked(user=name, client="openai_chat"))[0]["user"] == name


@pytest.mark.parametrize("client", ["openai_responses", "anthropic", "google"])
def test_metadata_of_another_protocol_is_not_sent_where_it_needs_a_stored_reply(client):
    body, report = sent("openai_chat", asked(metadata={"k": "v"}, client=client))
    assert "metadata" not in body
    assert report == ["`metadata` is not sent: it describes a stored reply, and the provider stores none"]


@pytest.mark.parametrize("vendor", ["mistral", "openrouter"])
def test_metadata_of_another_protocol_is_sent_to_a_vendor_that_takes_it_without_storing_the_reply(vendor):
    preset = presets.by_id(vendor)
    assert preset is not None
    body, report = sent(
        "openai_chat", asked(metadata={"k": "v"}, client="openai_responses"), preset.dialect_of("openai_chat")
    )
    assert body["metadata"] == {"k": "v"}
    assert report == []


def test_metadata_that_openai_refuses_is_reported():
    metadata = {"a": "x" * 600, "b" * 70: "x", "n": 5, **{f"k{number}": "v" for number in range(20)}}
    body, report = sent("openai_responses", asked(metadata=metadata))
    assert list(body["metadata"]) == [f"k{number}" for number in range(16)]
    assert len(report) == 1
    assert refusal("openai_chat", asked(metadata=metadata)) is None


@pytest.mark.parametrize(
    ("model", "wanted", "budget", "sent", "kept"),
    [
        ({"max_output_tokens": 8192}, 128_000, 32_000, 8192, 7168),
        ({"max_context_tokens": 8192}, 128_000, 8000, 8192, 8000),
        ({"max_output_tokens": 8192}, 9000, 32_000, 8192, 32_000),
        ({"max_output_tokens": 8192}, 8192, None, 8192, None),
        ({"max_output_tokens": 8192}, None, 9000, None, 9000),
        ({}, 128_000, 32_000, 128_000, 32_000),
        ({"max_output_tokens": 1000}, 4000, 2000, 1000, 999),
    ],
)
def test_output_is_limited_with_the_thinking_in_it(model, wanted, budget, sent, kept):
    settings = Settings(max_output_tokens=wanted, reasoning=Reasoning(budget=budget))
    report = within_output_limit(settings, Model(id="m", **model))
    assert settings.reasoning is not None
    assert (settings.max_output_tokens, settings.reasoning.budget) == (sent, kept)
    assert [warning.setting for warning in report] == (["max_output_tokens"] if sent != wanted else [])


def test_of_more_stop_sequences_than_a_vendor_accepts_none_is_sent():
    stops = [str(number) for number in range(5)]
    call = codec("openai_chat").render_request(asked(stop=stops), MODEL, Dialect(most_stops=4))
    assert ("stop" in call.body, call.stops, call.warnings) == (False, stops, [])
    assert sent("openai_chat", asked(stop=stops[:4]), Dialect(most_stops=4))[0]["stop"] == stops[:4]
    assert sent("openai_chat", asked(stop=stops))[0]["stop"] == stops


# --- roles -------------------------------------------------------------------------------------------------------------

TALK = [
    Turn("system", [Text(text="Be brief.")]),
    Turn("developer", [Text(text="Very.")]),
    user("Hi"),
    Turn("assistant", [Text(text="Hello.")]),
    Turn("system", [Text(text="Now be long.")]),
    user("Again"),
]


@pytest.mark.parametrize("client", ["openai_chat", None])
def test_a_model_without_system_messages_gets_them_from_the_user(client):
    body, report = sent("openai_chat", asked(*TALK, client=client), Dialect(system_role=False))
    assert [(message["role"], message["content"]) for message in body["messages"]] == [
        ("user", "Be brief.\n\nVery.\n\nHi"),
        ("assistant", "Hello."),
        ("user", "Now be long."),
        ("user", "Again"),
    ]
    assert report == ["the system prompt is sent as part of the user's message: the model does not accept one"]


@pytest.mark.parametrize("client", ["google", None])
def test_gemma_has_no_system_instruction(client):
    dialect = Dialect(**known("gemma-3-27b-it", "google", "google").dialect)
    turns = [Turn("system", [Text(text="Be brief.")], native="systemInstruction" if client else None), user("Hi")]
    body, _ = sent("google", asked(*turns, client=client), dialect)
    assert "systemInstruction" not in body
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Be brief.\n\nHi"}]}]


def test_o1_mini_has_no_system_message():
    assert known("o1-mini", "openai", "openai_chat").dialect["system_role"] is False
    assert "system_role" not in known("o1", "openai", "openai_chat").dialect


def test_a_system_prompt_before_a_picture_is_a_text_of_its_own():
    picture = Media(kind="image", url="https://example.com/a.png")
    talk = [Turn("system", [Text(text="Look.")]), Turn("user", [picture])]
    body, _ = sent("openai_chat", asked(*talk), Dialect(system_role=False))
    (message,) = body["messages"]
    assert [part["type"] for part in message["content"]] == ["text", "image_url"]


def test_a_system_prompt_alone_is_the_user_s_message():
    body, _ = sent("openai_chat", asked(TALK[0]), Dialect(system_role=False))
    assert body["messages"] == [{"role": "user", "content": "Be brief."}]


# --- numbers of clients ------------------------------------------------------------------------------------------------

HELLO = {"role": "user", "content": "Hi"}
BODIES: dict[str, dict[str, Any]] = {
    "openai_chat": {"messages": [HELLO], "max_tokens": 5.0, "temperature": 1.0},
    "openai_responses": {"input": [HELLO], "max_output_tokens": 5.0, "temperature": 1.0},
    "anthropic": {"messages": [HELLO], "max_tokens": 5.0, "temperature": 1.0},
    "google": {
        "contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 5.0, "temperature": 1.0},
    },
}  # fmt: skip


def settings_of(client: str, body: dict[str, Any]) -> Settings:
    path = "/v1beta/models/m:generateContent" if client == "google" else ""
    return codec(client).parse_request(Call(path, body)).settings


@pytest.mark.parametrize("client", BODIES)
def test_a_client_may_write_an_integer_as_a_float(client):
    found = settings_of(client, BODIES[client])
    assert (found.max_output_tokens, type(found.max_output_tokens), found.temperature) == (5, int, 1)


@pytest.mark.parametrize("client", ["openai_chat", "openai_responses", "anthropic"])
@pytest.mark.parametrize("value", [5.5, "5", 1e301])
def test_other_values_are_not_integers(client, value):
    body = {name: value if "tokens" in name else given for name, given in BODIES[client].items()}
    with pytest.raises(Unsupported, match=r"max_(output_)?tokens"):
        settings_of(client, body)


@pytest.mark.parametrize("target", NAMES)
def test_a_negative_maximum_means_no_limit(target):
    conversation = Conversation([user("Hi")], Settings(max_output_tokens=-1), protocol="openai_chat")
    if target == "openai_chat":
        conversation.protocol = "openai_responses"
    body, _ = sent(target, conversation)
    assert -1 not in (*body.values(), *dict(body.get("generationConfig") or {}).values())
    assert refusal(target, conversation) is None
