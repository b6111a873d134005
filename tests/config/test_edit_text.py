"""Files before and after an edit, byte for byte."""

import tomllib
from collections.abc import Callable

import pytest

from modelbay.config.toml.document import TomlDocument
from modelbay.config.toml.values import same
from modelbay.errors import ConfigError

Change = Callable[[TomlDocument], object]

FILE = """\
# My settings

default_model = "acme/one"   # the quick one

# ---- providers ----

# work
[providers.acme]
type = "openai"
base_url = 'https://acme.example/v1' # the new address
# proxy = "socks5://proxy:1080"

# timeout = { idle = 60 }

# ---- models ----

# about one
[models."acme/one"]
provider = "acme"
max_context_size = 262_144
capabilities = [
  "tools", # always
  # since May
  "image_in"
]
cost = { input = 1, output = 2.50 } # dollars

[models."acme/one".overrides]
display_name = "One"

[models."other/two"]
provider = "other"

# the end
"""


def edited(before: str, change: Change) -> str:
    document = TomlDocument(before)
    assert document.text == before
    change(document)
    assert same(tomllib.loads(document.text), document.data)
    return document.text


def lines_changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that only one of two texts has."""
    old, new = before.splitlines(), after.splitlines()
    return [line for line in old if line not in new], [line for line in new if line not in old]


# Values in place


def test_a_change_of_a_value_changes_nothing_around_it():
    after = edited(FILE, lambda d: d.set(("default_model",), "b"))
    assert after == FILE.replace('"acme/one"   #', '"b"   #')


def test_a_literal_string_stays_literal_if_possible():
    after = edited(FILE, lambda d: d.set(("providers", "acme", "base_url"), "https://b"))
    assert "base_url = 'https://b' # the new address" in after
    after = edited(FILE, lambda d: d.set(("providers", "acme", "base_url"), "it's"))
    assert 'base_url = "it\'s" # the new address' in after


def test_a_key_of_an_inline_table_changes_in_place():
    after = edited(FILE, lambda d: d.set(("models", "acme/one", "cost", "input"), 1.5))
    assert after == FILE.replace("input = 1, output = 2.50", "input = 1.5, output = 2.50")


def test_an_inline_table_gets_a_key_and_loses_one():
    after = edited(FILE, lambda d: d.set(("models", "acme/one", "cost", "cache_read"), 0.1))
    assert "cost = { input = 1, output = 2.50, cache_read = 0.1 } # dollars" in after
    after = edited(FILE, lambda d: d.delete(("models", "acme/one", "cost", "input")))
    assert "cost = { output = 2.50 } # dollars" in after
    after = edited(after, lambda d: d.delete(("models", "acme/one", "cost", "output")))
    assert "cost = {} # dollars" in after


def test_a_list_keeps_the_comments_of_remaining_items():
    after = edited(FILE, lambda d: d.set(("models", "acme/one", "capabilities"), ["tools", "image_in", "thinking"]))
    assert '  "tools", # always\n  # since May\n  "image_in",\n  "thinking"\n]' in after
    after = edited(FILE, lambda d: d.set(("models", "acme/one", "capabilities"), ["image_in"]))
    assert 'capabilities = [\n  # since May\n  "image_in"\n]' in after
    after = edited(FILE, lambda d: d.set(("models", "acme/one", "capabilities"), ["tools"]))
    assert 'capabilities = [\n  "tools" # always\n  # since May\n]' in after


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("[]", ["a"], '["a"]'),
        ('["a"]', [], "[]"),
        ('[ "a" ]', ["a", "b"], '[ "a", "b" ]'),
        ('[ "a", "b" ]', ["b"], '[ "b" ]'),
        ('[ "a", "b" ]', ["x", "a", "b"], '[ "x", "a", "b" ]'),
        ("['a', \"b\",]", ["a", "b", "c"], '[\'a\', "b", "c",]'),
        ("['a', # first\n 'b']", ["a"], "['a' # first\n]"),
        ("['a' # only\n]", ["a", "b"], "['a', # only\n  \"b\"\n]"),
        ("[ # list\n  1,\n]", [0, 1], "[ # list\n  0,\n  1,\n]"),
        ("[\n  # nothing yet\n]", [1], "[\n  # nothing yet\n  1\n]"),
        ("[1,\n 2]", [2], "[\n 2]"),
        ("[[1, 2], [3]]", [[1, 2], [4]], "[[1, 2], [4]]"),
    ],
)
def test_lists_in_every_layout(before, value, after):
    assert edited(f"v = {before} # c\n", lambda d: d.set(("v",), value)) == f"v = {after} # c\n"


@pytest.mark.parametrize("value", [262144, "acme"])
def test_writing_the_same_value_changes_nothing(value):
    key = "provider" if value == "acme" else "max_context_size"
    assert edited(FILE, lambda d: d.set(("models", "acme/one", key), value)) == FILE


def test_one_and_true_and_one_point_zero_differ():
    assert edited("a = 1\n", lambda d: d.set(("a",), True)) == "a = true\n"
    assert edited("a = 1\n", lambda d: d.set(("a",), 1.0)) == "a = 1.0\n"


def test_line_endings_stay_and_new_lines_have_them():
    before = FILE.replace("\n", "\r\n")

    def change(document: TomlDocument) -> None:
        document.set(("providers", "new"), {"type": "openai", "base_url": "b"})
        document.set(("models", "acme/one", "capabilities"), ["tools", "image_in", "thinking"])
        document.set(("default_provider",), "acme")

    after = edited(before, change)
    assert "\n" not in after.replace("\r\n", "")
    assert after == edited(FILE, change).replace("\n", "\r\n")


def test_a_multi_line_string_stays_whole():
    before = 'a = """\n[no.table]\nb = 1\n# no comment\n"""\nc = 2\n'
    assert edited(before, lambda d: d.set(("c",), 3)) == before.replace("2", "3")


@pytest.mark.parametrize("mark", ['"', "'"])
@pytest.mark.parametrize("quotes", [0, 1, 2])
def test_a_multi_line_string_may_end_in_quotes(mark, quotes):
    before = f"a = {mark * 3}x\n{mark * quotes}{mark * 3} # a\nb = [{mark * 3}{mark * quotes}y{mark * (quotes + 3)}, 2]\nc = 1\n"
    after = edited(before, lambda d: d.set(("b",), [mark * quotes + "y" + mark * quotes]))
    assert after == before.replace(", 2]", "]")


# Places of new lines


def test_a_new_key_is_added_below_the_last_of_its_table():
    after = edited(FILE, lambda d: d.set(("providers", "acme", "name"), "Acme"))
    assert '# the new address\nname = "Acme"\n# proxy' in after


def test_a_new_top_level_key_is_added_before_the_first_table():
    after = edited(FILE, lambda d: d.set(("default_provider",), "acme"))
    assert '# the quick one\ndefault_provider = "acme"\n\n# ---- providers' in after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "k = 1\n"),
        ("# about this file\n", "# about this file\n\nk = 1\n"),
        ("# about this file", "# about this file\n\nk = 1\n"),
        ("[a]\nb = 1\n", "k = 1\n\n[a]\nb = 1\n"),
        ("# about this file\n\n# more\n\n# a\n[a]\n", "# about this file\n\n# more\n\nk = 1\n\n# a\n[a]\n"),
        ("# about this file\n[a]\n", "# about this file\n\nk = 1\n\n[a]\n"),
    ],
)
def test_the_first_top_level_key_is_added_below_the_comments_of_the_file(before, after):
    assert edited(before, lambda d: d.set(("k",), 1)) == after


def test_a_new_provider_is_added_after_the_last_and_its_commented_out_lines():
    after = edited(FILE, lambda d: d.set(("providers", "new"), {"type": "anthropic"}))
    assert '# timeout = { idle = 60 }\n\n[providers.new]\ntype = "anthropic"\n\n# ---- models ----' in after
    assert lines_changed(FILE, after) == ([], ["[providers.new]", 'type = "anthropic"'])


def test_a_new_model_is_added_after_the_named_one_and_its_tables():
    after = edited(FILE, lambda d: d.set(("models", "acme/new"), {"provider": "acme"}, after="acme/one"))
    assert 'display_name = "One"\n\n[models."acme/new"]\nprovider = "acme"\n\n[models."other/two"]' in after


def test_without_a_named_one_a_new_model_is_added_after_the_last():
    after = edited(FILE, lambda d: d.set(("models", "acme/new"), {"provider": "acme"}))
    assert 'provider = "other"\n\n[models."acme/new"]\nprovider = "acme"\n\n# the end\n' in after


def test_small_tables_of_a_new_entry_are_inline_and_large_ones_have_a_header():
    value = {"type": "openai", "env": {"A": "a"}, "custom_headers": {"X-Long": "v" * 100}}
    after = edited("", lambda d: d.set(("providers", "new"), value))
    assert after == (
        '[providers.new]\ntype = "openai"\nenv = { A = "a" }\n\n'
        f'[providers.new.custom_headers]\nX-Long = "{"v" * 100}"\n'
    )


def test_a_new_table_of_a_model_is_written_like_those_next_to_it():
    after = edited(FILE, lambda d: d.set(("models", "acme/one", "variants", "deep"), {"reasoning_effort": "high"}))
    assert '[models."acme/one".variants]\ndeep = { reasoning_effort = "high" }\n' in after
    after = edited(FILE, lambda d: d.set(("models", "other/two", "cost", "input"), 1))
    assert 'provider = "other"\ncost = { input = 1 }\n' in after


def test_a_table_that_had_only_tables_gets_a_header_for_its_first_key():
    after = edited("# one\n[models.one.cost]\ninput = 1\n", lambda d: d.set(("models", "one", "model"), "m"))
    assert after == '# one\n[models.one]\nmodel = "m"\n\n[models.one.cost]\ninput = 1\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('models = { "a/b" = { model = "m" } }\n', 'models = { "a/b" = { model = "m" }, x = { model = "n" } }\n'),
        (
            '[models]\n"a/b" = { model = "m" } # one\n\n[z]\n',
            '[models]\n"a/b" = { model = "m" } # one\nx = { model = "n" }\n\n[z]\n',
        ),
        ('models."a/b".model = "m"\nz = 1\n', 'models."a/b".model = "m"\nmodels.x = { model = "n" }\nz = 1\n'),
        ('[models."a/b"]\nmodel = "m"', '[models."a/b"]\nmodel = "m"\n\n[models.x]\nmodel = "n"\n'),
        ("[models]\n# none yet\n", '[models]\n# none yet\n\n[models.x]\nmodel = "n"\n'),
    ],
)
def test_a_new_entry_is_written_in_the_style_of_the_others(before, after):
    assert edited(before, lambda d: d.set(("models", "x"), {"model": "n"})) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("m.cost.input = 1 # in\n", "m.cost.input = 1 # in\nm.cost.output = 2\n"),
        ("[m]\n cost.input = 1\n x = 1\n", "[m]\n cost.input = 1\n cost.output = 2\n x = 1\n"),
        ("[m]\ncost = {input=1}\n", "[m]\ncost = {input=1, output = 2}\n"),
        ("m = { cost.input = 1, z = 2 }\n", "m = { cost.input = 1, cost.output = 2, z = 2 }\n"),
        ("m = {}\n", "m = { cost = { output = 2 } }\n"),
        ("[m.cost]\ninput = 1\n[z]\n", "[m.cost]\ninput = 1\noutput = 2\n[z]\n"),
    ],
)
def test_a_key_is_added_in_the_style_of_its_table(before, after):
    assert edited(before, lambda d: d.set(("m", "cost", "output"), 2)) == after


@pytest.mark.parametrize(
    "key", ["a/b", "managed:kimi", "v1.5", "ünï", 'say "hi"', "", "tab\t", "back\\slash", "#", "[x]"]
)
def test_names_with_slashes_colons_dots_and_special_characters(key):
    after = edited("", lambda d: d.set(("models", key), {"model": "m"}))
    assert tomllib.loads(after) == {"models": {key: {"model": "m"}}}
    after = edited(after, lambda d: d.set(("models", key, "model"), "n"))
    assert after.count("\n") == 2
    assert edited(after, lambda d: d.delete(("models", key))) == ""


# Deleting


def test_removing_a_provider_removes_the_comments_above_it_and_nothing_else():
    after = edited(FILE, lambda d: d.delete(("providers", "acme")))
    assert after == FILE[: FILE.index("# work")] + FILE[FILE.index("# ---- models") :]


def test_removing_a_model_removes_its_tables():
    after = edited(FILE, lambda d: d.delete(("models", "acme/one")))
    assert after == FILE[: FILE.index("# about one")] + FILE[FILE.index('[models."other/two"]') :]


def test_removing_the_last_table_keeps_the_lines_below_it():
    after = edited(FILE, lambda d: d.delete(("models", "other/two")))
    assert after == FILE.replace('[models."other/two"]\nprovider = "other"\n\n', "")


def test_removing_a_key_removes_its_comment_and_no_comment_lines():
    after = edited(FILE, lambda d: d.delete(("providers", "acme", "base_url")))
    assert after == FILE.replace("base_url = 'https://acme.example/v1' # the new address\n", "")
    after = edited(FILE, lambda d: d.delete(("default_model",)))
    assert after == FILE.replace('default_model = "acme/one"   # the quick one\n\n', "")


@pytest.mark.parametrize(
    ("before", "path", "after"),
    [
        ("[a]\nx.y = 1\nz = 1\n", ("a", "x", "y"), "[a]\nz = 1\n"),
        ("[a]\nx.y = 1\nx.w = 2\n", ("a", "x"), "[a]\n"),
        ("[a.b]\nx = 1\n", ("a", "b"), ""),
        ("[a.b]\nx = 1\n", ("a", "b", "x"), "[a.b]\n"),
        ("[a]\n[a.b]\n[a.b.c]\n[d]\n", ("a",), "[d]\n"),
        ("a = { x.y = 1, x.z = 2, w = 3 }\n", ("a", "x"), "a = { w = 3 }\n"),
        ("a = {x=1,y=2}\n", ("a", "x"), "a = {y=2}\n"),
        ("[[a]]\nx = 1\n[a.b]\n[[a]]\n\n[c]\n", ("a",), "[c]\n"),
        ("a = 1\n", ("b",), "a = 1\n"),
        ("a = 1\n", ("a", "b"), "a = 1\n"),
    ],
)
def test_deleting_in_every_style(before, path, after):
    assert edited(before, lambda d: d.delete(path)) == after


# Whole tables


def test_a_table_is_replaced_key_by_key():
    def change(document: TomlDocument) -> None:
        document.set(("providers", "acme"), {"base_url": "https://acme.example/v1", "type": "kimi", "name": "Acme"})

    after = edited(FILE, change)
    assert lines_changed(FILE, after) == (['type = "openai"'], ['type = "kimi"', 'name = "Acme"'])
    after = edited(FILE, lambda d: d.set(("providers", "acme"), {"type": "openai"}))
    assert lines_changed(FILE, after)[0] == ["base_url = 'https://acme.example/v1' # the new address"]


def test_a_table_of_dotted_keys_can_become_empty():
    assert edited("[m]\nc.a = 1\nz = 1\n", lambda d: d.set(("m", "c"), {})) == "[m]\nz = 1\n\n[m.c]\n"
    assert edited("m = { c.a = 1 }\n", lambda d: d.set(("m", "c"), {})) == "m = { c = {} }\n"
    assert edited("[m.c]\na = 1\n", lambda d: d.set(("m", "c"), {})) == "[m.c]\n"


def test_a_value_replaces_a_table_and_back():
    after = edited("[a]\nb = 1\n[a.c]\nd = 1\n[e]\n", lambda d: d.set(("a", "c"), 5))
    assert after == "[a]\nb = 1\nc = 5\n[e]\n"
    assert edited("a = 1 # one\n", lambda d: d.set(("a",), {"b": 2})) == "a = { b = 2 } # one\n"
    assert edited("[[a]]\nb = 1\n[z]\n", lambda d: d.set(("a",), [1])) == "a = [1]\n\n[z]\n"


def test_a_value_is_not_turned_into_a_table():
    with pytest.raises(ConfigError, match=r"models\.x\.cost cannot be set: models is not a table"):
        TomlDocument('models = "none"\n').set(("models", "x", "cost"), 1)
    with pytest.raises(ConfigError, match="is not a table"):
        TomlDocument("[[models]]\n").set(("models", "x"), 1)
