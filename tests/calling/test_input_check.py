"""Input that a model is known not to accept is refused before it is sent."""

import pytest

from modelbay import Conversation, Media, Text, Tool, user
from modelbay.calling.input_check import check_input, media_of
from modelbay.conversation import Settings
from modelbay.errors import Unsupported
from modelbay.model import Capability, Model

IMAGE, AUDIO, VIDEO = (Media(kind=kind, data="AAAA") for kind in ("image", "audio", "video"))
DOCUMENT = Media(kind="document", data="AAAA", media_type="application/pdf")
NOTE, BLOCKS = Media(kind="document", text="a"), Media(kind="document", parts=[Text(text="a")])
FUNCTION, COMPUTER = Tool(name="a"), Tool(kind="vendor", native="computer_20251124")
SEARCH = Tool(kind="vendor", native="web_search_20250305")


def checked(model: Model, *given: Media | Tool) -> list[str]:
    """The warnings about a conversation with these media and tools."""
    media = [one for one in given if isinstance(one, Media)]
    tools = [one for one in given if isinstance(one, Tool)]
    conversation = Conversation([user("Hi", *media)], settings=Settings(tools=tools))
    return [warning.message for warning in check_input(conversation, model, media_of(conversation))]


def model(capability: Capability, accepted: bool | None, source: str = "config") -> Model:
    capabilities = {} if accepted is None else {capability: accepted}
    others: dict[Capability, bool] = {"tool_use": True, "computer_use": True}
    return Model(id="m", alias="mine", capabilities=others | capabilities, sources={capability: source})


@pytest.mark.parametrize(
    ("given", "name", "capability"),
    [
        (IMAGE, "images", "image_in"),
        (AUDIO, "audio", "audio_in"),
        (VIDEO, "video", "video_in"),
        (DOCUMENT, "documents", "document_in"),
        (FUNCTION, "tools", "tool_use"),
        (SEARCH, "tools", "tool_use"),
        (COMPUTER, "computer tools", "computer_use"),
    ],
)
def test_input_is_refused_if_the_model_is_known_not_to_accept_it(
    given: Media | Tool, name: str, capability: Capability
):
    with pytest.raises(Unsupported) as refused:
        checked(model(capability, False), given)
    assert refused.value.message == f"mine does not accept {name} ({capability} = false)"
    assert refused.value.setting == capability
    assert str(refused.value.hint).endswith(f"modelbay model set mine {capability}=yes")
    assert checked(model(capability, True), given) == []


@pytest.mark.parametrize(("given", "name", "capability"), [(IMAGE, "images", "image_in"), (VIDEO, "video", "video_in")])
def test_input_that_a_model_may_accept_is_sent_with_a_warning(given: Media, name: str, capability: Capability):
    assert checked(model(capability, None), given) == [f"unknown whether mine accepts {name}"]


def test_tools_are_sent_to_a_model_of_which_nothing_is_known():
    assert checked(Model(id="m"), FUNCTION, COMPUTER) == []


def test_a_search_of_the_vendor_is_not_a_computer_tool():
    assert checked(model("computer_use", False), SEARCH, FUNCTION) == []


@pytest.mark.parametrize("given", [NOTE, BLOCKS])
def test_a_document_of_text_is_accepted_by_every_model(given: Media):
    assert checked(model("document_in", False), given) == []


@pytest.mark.parametrize("source", ["models", "models.dev", "manifest"])
def test_a_list_is_not_believed_about_documents(source: str):
    assert checked(model("document_in", False, source), DOCUMENT) == []


def test_a_conversation_of_text_is_not_checked():
    assert checked(Model(id="m", capabilities={"image_in": False, "tool_use": False})) == []
