"""Tokens of texts: near to the count of a tokenizer, in every script."""

import tomllib
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from modelbay.counting import text_tokens as text_tokens_module
from modelbay.counting.text_tokens import TABLES, text_tokens

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
def test_a_text_of_any_script_is_estimated_within_a_tenth(text: str, tokens: int) -> None:
    assert text_tokens(text) == pytest.approx(tokens, rel=0.14)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Compare architectural patterns of distributed database systems and the implications of each of them.", 15),
        ("def parse_arguments(self, defaultValue=None):\n        return self._argumentParser.parse_args()\n", 18),
        ("toolu_01HvZ8yKf3QbW7mN2cXd5RgT 2026-11-30 123456789", 34),
        ("<instructions>\n\nKeep responses brief.\n\n</instructions>\n", 10),
        ("Hello!", 2),
        ("", 0),
    ],
)
def test_long_words_code_ids_and_marks_are_estimated_within_a_fifth(text: str, tokens: int) -> None:
    assert text_tokens(text) == pytest.approx(tokens, rel=0.2)


TOKENIZERS = sorted(table.name.removesuffix(".toml") for table in TABLES.iterdir())


@cache
def by_language() -> list[dict[str, Any]]:
    return list(tomllib.loads(Path(__file__).with_name("texts_by_language.toml").read_text(encoding="utf-8"))["text"])


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_question_in_any_language_is_estimated_by_the_tokenizer_of_the_model(tokenizer: str) -> None:
    texts = {each["text"]: each["tokens"][tokenizer] for each in by_language()}
    found = {text: text_tokens(text, tokenizer) for text in texts}
    near = {text: pytest.approx(tokens, rel=0.3) for text, tokens in texts.items()}
    for text in (each["text"] for each in by_language() if tokenizer in each.get("phrases", ())):
        near[text] = pytest.approx(texts[text], rel=0.35)
    assert found == near
    assert mean(abs(found[text] / tokens - 1) for text, tokens in texts.items()) < 0.09
    assert sum(found.values()) == pytest.approx(sum(texts.values()), rel=0.03)


NUMBERS = (
    "Order 20417 of 2024-11-30: 1250 pieces at 17.95 EUR, total 22437.50 EUR, invoice 83104417, call 0049 30 901820."
)


@pytest.mark.parametrize(("tokenizer", "tokens"), [("o200k", 48), ("gemma", 75), ("qwen", 75), ("llama", 48)])
def test_digits_are_tokens_alone_or_in_groups(tokenizer: str, tokens: int) -> None:
    assert text_tokens(NUMBERS, tokenizer) == pytest.approx(tokens, rel=0.05)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize(
    "text",
    [
        "." * 300,
        " " * 900,
        "\n" * 90,
        "\ud800" * 5,
        "\U0010ffff" * 9,
        "\u0301" * 40,
        "\x00" * 7,
        "\U0001d518" * 3,
        "a" * 4097,
    ],
    ids=["dots", "spaces", "lines", "surrogates", "last code point", "accents", "zeros", "mathematical", "one letter"],
)
def test_an_odd_text_has_one_token_at_least_and_one_a_byte_at_most(text: str, tokenizer: str) -> None:
    assert 1 <= text_tokens(text, tokenizer) <= len(text.encode("utf-8", "replace"))


def test_a_text_that_is_too_long_to_be_read_completely_is_estimated_from_its_slices() -> None:
    texts = [text * count for text, _ in COUNTED for count in (10, 50, 20)] * 6
    assert sum(map(len, texts)) > 500_000
    assert text_tokens("".join(texts)) == pytest.approx(sum(map(text_tokens, texts)), rel=0.05)


@pytest.mark.parametrize("times", [1, 20, 100])
def test_the_estimate_of_a_long_text_grows_with_the_added_part(times: int) -> None:
    texts = [text for text, _ in COUNTED]
    long = "".join(texts[index * 7 % len(texts)] * (1 + index % 5) for index in range(900))
    assert 300_000 < len(long) < 450_000
    added = texts[0] * times
    assert text_tokens(long + added) - text_tokens(long) == pytest.approx(text_tokens(added), rel=0.15)


def test_of_a_text_that_has_grown_only_the_new_part_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    count, read = text_tokens_module._counted, 0

    def counted(text: str, tokenizer: str) -> float:
        nonlocal read
        read += len(text)
        return count(text, tokenizer)

    monkeypatch.setattr(text_tokens_module, "_counted", counted)
    text = "".join(f"The {number}th boat has no sail.\n" for number in range(2_000))
    assert len(text) > 50_000
    before, first = text_tokens(text), read
    added = "It has oars.\n" * 10
    assert text_tokens(text + added) - before == pytest.approx(text_tokens(added), rel=0.15)
    assert (first, read - first < 10_000) == (len(text), True)


def test_the_texts_that_were_counted_are_not_kept() -> None:
    text_tokens("The sail is torn. " * 10_000)
    kept = text_tokens_module._tokens["o200k"]
    assert kept
    assert all(type(key) is int for key in kept)
