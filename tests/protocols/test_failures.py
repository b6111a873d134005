"""Classes and messages of error responses."""

import json

import pytest

from modelbay.dialect import PLAIN
from modelbay.errors import (
    AuthenticationFailed,
    BadRequest,
    ConnectFailed,
    ContentRefused,
    ContextOverflow,
    NotFound,
    Overloaded,
    PermissionDenied,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestTooLarge,
    ServerError,
    TimedOut,
    Unsupported,
)
from modelbay.events import collect
from modelbay.protocols.codec import codec
from modelbay.protocols.failures import provider_error, status_of, summary
from tests.protocols.spoken import BUILT

every_protocol = pytest.mark.parametrize("protocol", BUILT)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequest), (401, AuthenticationFailed), (402, QuotaExhausted), (403, PermissionDenied), (404, NotFound),
        (408, ServerError), (405, BadRequest), (409, BadRequest), (413, RequestTooLarge), (418, BadRequest), (422, BadRequest),
        (429, RateLimited), (500, ServerError), (501, BadRequest), (502, ServerError), (503, Overloaded),
        (504, ServerError), (529, Overloaded), (599, ServerError),
    ],
)  # fmt: skip
def test_the_status_decides_the_class(status, kind):
    assert type(provider_error(status, "something")) is kind


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "This model's maximum context length is 8192 tokens", ContextOverflow),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", ContextOverflow),
        (400, "The input token count (40000) exceeds the maximum number of tokens allowed (32767)", ContextOverflow),
        (400, "the request exceeds the available context size", ContextOverflow),
        (400, "Your credit balance is too low to access the Anthropic API", QuotaExhausted),
        (413, "maximum context length exceeded", ContextOverflow),
        (422, "too many tokens", ContextOverflow),
        (429, "You exceeded your current quota, please check your plan and billing details", QuotaExhausted),
        (429, "insufficient balance", QuotaExhausted),
        (429, "Too many requests", RateLimited),
        (500, "Overloaded, try again", Overloaded),
        (500, "maximum context length", ServerError),
        (500, "image input is not supported - hint: you may need to provide the mmproj", BadRequest),
        (500, "Failed to create new sequence: this model is missing data required for image input", BadRequest),
        (500, "Llama model must be created with embedding=True to call this method", BadRequest),
        (
            500,
            "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': "
            "\"Input should be 'text' or 'json_object'\", 'input': 'json_schema'}",
            BadRequest,
        ),
        (500, "1 validation error for Reply", ServerError),
        (404, "Only 'text' content type is supported.", BadRequest),
        (404, 'No endpoints found that support tool use. Try disabling "bash".', BadRequest),
        (404, "No endpoints found matching your data policy", NotFound),
        (400, "/chat/completions: Invalid model name passed in model=nope. Call `/v1/models` to view", NotFound),
        (400, "Invalid model 'nope'. Permitted models can be found in the documentation", NotFound),
        (400, "acme/nope is not a valid model ID", NotFound),
        (400, "Model Not Exist", NotFound),
        (400, "The requested model 'acme/nope' does not exist", NotFound),
        (400, "tools.0: the tool `nope` does not exist", BadRequest),
        (400, "invalid model parameters: top_k", BadRequest),
        (401, "maximum context length", AuthenticationFailed),
        (404, "insufficient balance", NotFound),
        (None, "maximum context length", ContextOverflow),
        (None, "who knows", ProviderError),
    ],
)
def test_words_decide_only_where_the_status_cannot(status, message, kind):
    assert type(provider_error(status, message)) is kind


@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (400, "context_length_exceeded", ContextOverflow),
        (400, "exceed_context_size_error", ContextOverflow),
        (400, "content_filter", ContentRefused),
        (429, "insufficient_quota", QuotaExhausted),
        (400, "budget_exceeded", QuotaExhausted),
        (400, "model_not_found", NotFound),
        (400, "no_db_connection", AuthenticationFailed),
        (500, "model_not_found", ServerError),
        (429, "exceeded_current_quota_error", QuotaExhausted),
        (429, "rate_limit_exceeded", RateLimited),
        (403, "insufficient_quota", QuotaExhausted),
        (400, "rate_limit_exceeded", BadRequest),
        (None, "rate_limit_error", RateLimited),
        (None, "overloaded_error", Overloaded),
        (None, "server_is_overloaded", Overloaded),
        (None, "api_error", ServerError),
        (None, "RESOURCE_EXHAUSTED", RateLimited),
        (None, "invalid_api_key", AuthenticationFailed),
        (None, "unheard_of", ProviderError),
    ],
)
@pytest.mark.parametrize("place", ["type", "code"])
def test_the_provider_s_own_word_makes_the_class_finer(status, word, kind, place):
    assert type(provider_error(status, "something", **{place: word})) is kind


@pytest.mark.parametrize(
    ("word", "message", "kind"),
    [
        ("invalid_request_error", "Your credit balance is too low to access the API", QuotaExhausted),
        ("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", ContextOverflow),
        ("rate_limit_error", "You exceeded your current quota", QuotaExhausted),
        ("api_error", "Overloaded, try again", Overloaded),
        ("api_error", "something", ServerError),
    ],
)
def test_inside_a_200_words_make_finer_what_the_provider_calls_it(word, message, kind):
    """There a status would do that, and there is none."""
    assert type(provider_error(None, message, type=word)) is kind


@pytest.mark.parametrize(
    ("kind", "retryable"),
    [(RateLimited, True), (Overloaded, True), (ServerError, True), (BadRequest, False), (QuotaExhausted, False),
     (AuthenticationFailed, False), (ContextOverflow, False)],
)  # fmt: skip
def test_only_what_may_pass_is_retryable(kind, retryable):
    assert kind("something").retryable is retryable


@pytest.mark.parametrize(
    ("values", "status"),
    [((429,), 429), (("401",), 401), ((None, "", "x", 503), 503), ((200, 99, 600), None), ((True,), None),
     (("9" * 5000,), None), (("٤٠٤",), None), ((4.5,), None)],
)  # fmt: skip
def test_a_status_in_the_body_is_read_where_it_is_one(values, status):
    assert status_of(*values) == status


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("<html><head><title>502 Bad\n  Gateway</title></head></html>", "an HTML page: 502 Bad Gateway"),
        ("<TITLE lang=en>Nope</TITLE>", "an HTML page: Nope"),
        ("Internal\nServer\tError", "Internal Server Error"),
        ("", "an empty response"),
        ("  \n ", "an empty response"),
        ("x" * 500, "x" * 100 + "…"),
        ("a\x1b[31mb\u202ec", "a [31mb c"),
    ],
)
def test_a_body_that_is_not_json_is_reported_in_one_line(body, line):
    assert summary(body) == line


@every_protocol
def test_an_html_page_is_an_error_of_its_status(protocol):
    page = b"<!doctype html><title>403 Forbidden</title><p>nginx"
    error = codec(protocol).parse_error(403, {"content-type": "text/html"}, page)
    assert type(error) is PermissionDenied
    assert error.message == "an HTML page: 403 Forbidden"
    assert error.body == page.decode()


@every_protocol
@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b'"busy"', b"\xff\xfe", b'{"error": null}', b'{"error": {}}', b'{"error": []}', b"7",
     b'{"error": {"message": null, "code": {}, "type": []}}', b'[{"error": {"message": {"a": 1}}}]', b"[" * 99_999],
)  # fmt: skip
def test_any_body_gives_an_error_of_its_status_with_a_message(protocol, body):
    error = codec(protocol).parse_error(500, {}, body)
    assert error.status == 500
    assert isinstance(error, ServerError | Overloaded)
    assert error.message


@every_protocol
@pytest.mark.parametrize("frame", [b"data: %b\n\n", b"%b", b"%b\n"], ids=["in an event", "alone", "in a line"])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_array_with_an_error_in_a_stream_is_this_error(protocol, frame, indent):
    """As Google sends its errors, also from its OpenAI API."""
    error = {"error": {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED"}}
    said = b"[%b\n]" % json.dumps(error, indent=indent).encode()
    if frame.startswith(b"data"):
        said = said.replace(b"\n", b"\ndata: ")
    parser = codec(protocol).stream_parser(PLAIN)
    reply = collect([*parser.feed(b": begun\n\n" + frame % said), *parser.close()])
    assert isinstance(reply.error, RateLimited)
    assert reply.error.message == "Resource exhausted"


@every_protocol
def test_a_long_body_is_cut(protocol):
    assert len(codec(protocol).parse_error(500, {}, b"x" * 100_000).body) == 2000


@every_protocol
def test_a_message_that_repeats_the_request_is_cut_in_its_middle(protocol):
    said = json.dumps({"error": {"message": f"The input is not valid: {'x' * 100_000}; see the manual"}}).encode()
    message = codec(protocol).parse_error(400, {}, said).message
    assert len(message) < 9_000
    assert message.startswith("The input is not valid: ")
    assert message.endswith("; see the manual")


@every_protocol
@pytest.mark.parametrize(
    "error",
    [
        BadRequest("`foo` is not allowed", status=400),
        AuthenticationFailed("wrong key", status=401),
        PermissionDenied("not yours", status=403),
        NotFound("no such model", status=404),
        RequestTooLarge("too many bytes", status=413),
        RateLimited("slow down", status=429),
        ServerError("out of order", status=500),
        Overloaded("busy", status=503),
        ContextOverflow("This model's maximum context length is 8192 tokens", status=400),
        QuotaExhausted("You exceeded your current quota, please check your plan and billing details", status=429),
        Unsupported("`n` cannot be expressed", setting="n"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_told_to_a_client_is_the_same_error_to_it(protocol, error):
    status, body = codec(protocol).render_error(error)
    told = codec(protocol).parse_error(status, {}, body)
    assert status == error.status == told.status
    assert error.message in told.message
    assert type(told) is (BadRequest if isinstance(error, Unsupported) else type(error))


@every_protocol
@pytest.mark.parametrize(
    ("error", "wanted"),
    [(ConnectFailed("refused"), 502), (TimedOut("silence", stage="idle"), 504), (ValueError("a fault"), 500)],
)
def test_a_failure_without_a_status_has_that_of_its_class(protocol, error, wanted):
    status, body = codec(protocol).render_error(error)
    assert status == wanted
    assert str(error) in json.loads(body)["error"]["message"]


BARE = [
    ({"code": 500, "msg": "no route", "success": False}, "no route", "500", ServerError),  # Z.ai
    ({"code": "1113", "message": "no balance"}, "no balance", "1113", ProviderError),
    ({"error_code": 17, "error_msg": "no more today"}, "no more today", "17", ProviderError),  # Baidu
    ({"success": False, "errors": [{"code": 10000, "message": "no account"}]}, "no account", "10000", ProviderError),
    ({"errors": {"message": "no model"}, "request_id": "r"}, "no model", None, ProviderError),  # ModelScope
    ({"base_resp": {"status_code": 1008, "status_msg": "no money"}}, "no money", "1008", ProviderError),  # MiniMax
    ({"statusCode": 429, "message": "slow"}, "slow", "429", RateLimited),  # Azure API Management
    ({"Message": "not signed", "code": "x"}, "not signed", "x", ProviderError),  # AWS
    ({"message": "alone"}, "alone", None, ProviderError),
]


@pytest.mark.parametrize(("body", "message", "code", "kind"), BARE)
@every_protocol
def test_an_error_without_the_protocol_s_form_is_read_in_a_200(protocol, body, message, code, kind):
    whole = collect(codec(protocol).parse_reply(json.dumps(body).encode(), PLAIN)).error
    parser = codec(protocol).stream_parser(PLAIN)
    streamed = collect([*parser.feed(b"data: " + json.dumps(body).encode() + b"\n\n"), *parser.close()]).error
    for error in (whole, streamed):
        assert isinstance(error, kind)
        assert (error.message, getattr(error, "code", None)) == (message, code)


@pytest.mark.parametrize(("body", "message", "code", "kind"), BARE)
@every_protocol
def test_an_error_without_the_protocol_s_form_is_read_in_a_400(protocol, body, message, code, kind):
    error = codec(protocol).parse_error(400, {}, json.dumps(body).encode())
    assert (error.message, error.status, error.code) == (message, 400, code)


@pytest.mark.parametrize(
    "body", [{"choices": None, "id": "x", "base_resp": {"status_code": 1008, "status_msg": "no money"}}]
)
def test_an_error_may_have_the_frame_of_a_reply(body):
    whole = collect(codec("openai_chat").parse_reply(json.dumps(body).encode(), PLAIN)).error
    parser = codec("openai_chat").stream_parser(PLAIN)
    events = [*parser.feed(b"data: " + json.dumps(body).encode() + b"\n\n"), *parser.close()]
    for error in (whole, collect(events).error):
        assert error is not None
        assert error.message == "no money"


@pytest.mark.parametrize(
    "body",
    [
        {"code": 0, "msg": "ok"},
        {"code": 200, "msg": "success"},
        {"base_resp": {"status_code": 0, "status_msg": ""}},
        {},
    ],
)
@every_protocol
def test_a_code_of_success_is_not_an_error_of_the_provider(protocol, body):
    error = collect(codec(protocol).parse_reply(json.dumps(body).encode(), PLAIN)).error
    assert not isinstance(error, ProviderError)


def test_an_anthropic_error_event_may_have_its_message_beside_the_type():
    stream = b'event: error\ndata: {"type": "error", "message": "boom", "code": 529}\n\n'
    parser = codec("anthropic").stream_parser(PLAIN)
    error = collect([*parser.feed(stream), *parser.close()]).error
    assert isinstance(error, Overloaded)
    assert error.message == "boom"


def test_the_type_of_an_event_is_not_the_type_of_its_error():
    stream = b'data: {"type": "error", "code": "server_error", "message": "boom"}\n\n'
    parser = codec("openai_responses").stream_parser(PLAIN)
    error = collect([*parser.feed(stream), *parser.close()]).error
    assert error is not None
    assert json.loads(codec("openai_chat").render_error(error)[1])["error"] == {
        "message": "boom", "type": "server_error", "param": None, "code": "server_error",
    }  # fmt: skip
