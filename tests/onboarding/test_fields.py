"""Each field of the dialog for a custom provider, in Kilo Code's words."""

import pytest

from modelbay.onboarding import fields as dialog
from modelbay.onboarding.fields import HeaderRow, ModelRow, ProviderFields

GOOD = ProviderFields(
    "my-provider", "My AI Provider", "openai_chat", "https://api.myprovider.com/v1", "", [ModelRow("m", "M")]
)


def test_a_form_that_is_in_order():
    assert dialog.problems(GOOD) == {}


@pytest.mark.parametrize(
    ("id", "problem"),
    [
        ("", "Provider ID is required"),
        ("  ", "Provider ID is required"),
        ("My-provider", "Use lowercase letters, numbers, hyphens, or underscores"),
        ("-x", "Use lowercase letters, numbers, hyphens, or underscores"),
        ("a.b", "Use lowercase letters, numbers, hyphens, or underscores"),
        ("ünder", "Use lowercase letters, numbers, hyphens, or underscores"),
        ("taken", "That provider ID already exists"),
        (" my_provider-2 ", None),
        ("0", None),
    ],
)
def test_an_id_has_lowercase_letters_numbers_and_hyphens_and_is_not_taken(id, problem):
    assert dialog.id_problem(id, ["taken"]) == problem


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (" ", "Display name is required"),
        ("x", None),
        ("x" * 200, None),
        ("x" * 201, "Display name must be at most 200 characters"),
    ],
)
def test_a_name_is_not_empty_and_not_too_long(name, problem):
    assert dialog.name_problem(name) == problem


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "Base URL is required"),
        ("api.acme.example", "Must start with http:// or https://"),
        ("ftp://acme.example", "Must start with http:// or https://"),
        ("https://", "Base URL must start with http:// or https://"),
        ("https://acme.example:port", "Base URL must start with http:// or https://"),
        ("https://acme .example", "Base URL must start with http:// or https://"),
        (" HTTPS://acme.example/v1?x=y ", None),
        ("http://localhost:8080", None),
    ],
)
def test_a_base_url_begins_with_its_scheme(url, problem):
    assert dialog.base_url_problem(url) == problem


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", None),
        ("sk-1", None),
        ("{env:ACME_KEY}", None),
        ("{file:key.txt}", None),
        ("{env:acme}", "Invalid environment variable name"),
        ("{env:1X}", "Invalid environment variable name"),
        ("{env:A B}", "Invalid environment variable name"),
    ],
)
def test_a_key_may_be_a_reference_to_a_variable_of_a_valid_name(key, problem):
    assert dialog.api_key_problem(key) == problem


def test_models_have_different_ids_and_names_that_are_not_too_long():
    rows = [
        ModelRow("a", "A"),
        ModelRow(" A ", "again"),
        ModelRow("", "no id"),
        ModelRow("b", " "),
        ModelRow("c", "x" * 201),
    ]
    assert dialog.model_problems(rows) == [
        (None, None),
        ("Duplicate", None),
        ("Required", None),
        (None, "Required"),
        (None, "Display name must be at most 200 characters"),
    ]


def test_headers_have_different_names_and_a_value():
    rows = [HeaderRow("X-A", "1"), HeaderRow("x-a", "2"), HeaderRow("", "3"), HeaderRow("X-B", " "), HeaderRow(" ", "")]
    assert dialog.header_problems(rows) == [
        (None, None),
        ("Duplicate", None),
        ("Required", None),
        (None, "Required"),
        (None, None),
    ]


@pytest.mark.parametrize(
    ("row", "problems"),
    [
        (HeaderRow("X A", "1"), (dialog.HEADER_NAME, None)),
        (HeaderRow("X-Ä", "1"), (dialog.HEADER_NAME, None)),
        (HeaderRow("content-length", "1"), (dialog.HEADER_NAME, None)),
        (HeaderRow("X-A", "1\n2"), (None, dialog.HEADER_VALUE)),
        (HeaderRow("X-A", "\u65e5"), (None, dialog.HEADER_VALUE)),
        (HeaderRow("X-A", "Grüße {env:X}"), (None, None)),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(row: HeaderRow, problems: tuple[str | None, str | None]):
    assert dialog.header_problems([row]) == [problems]


def test_all_at_once():
    form = ProviderFields("", "", "openai_chat", "", "{env:-}", [], [HeaderRow("X", "")])
    assert dialog.problems(form) == {
        "id": "Provider ID is required",
        "name": "Display name is required",
        "base_url": "Base URL is required",
        "api_key": "Invalid environment variable name",
        "models": "At least one model is required",
        "headers.0.value": "Required",
    }
    assert "models" not in dialog.problems(form, detects=True)


def test_trimming_drops_blank_headers():
    form = ProviderFields(
        " a ", " A ", "openai_chat", " https://a.example ", " k ", [ModelRow(" m ", " M ")], [HeaderRow(" ", "")]
    )
    assert form.trimmed() == ProviderFields("a", "A", "openai_chat", "https://a.example", "k", [ModelRow("m", "M")], [])
