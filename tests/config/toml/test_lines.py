import pytest

from modelbay.config.toml.lines import line_of

TEXT = '''\
# a comment with [providers.no]
default_model = "x"
providers.dotted = { type = "openai" }

[ providers . "managed:kimi" ]  # with a comment
type = "kimi"
notes = """
[providers.trap]
type = "in a text"
"""
oauth.key = "o"

[models."a/b \\"c\\""]
model = 'w'
[models."a/b \\"c\\"".overrides]
"display_name" = "D"
[[extra]]
type = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("default_model",), 2),
        (("providers", "dotted"), 3),
        (("providers", "dotted", "type"), 3),
        (("providers", "managed:kimi"), 5),
        (("providers", "managed:kimi", "type"), 6),
        (("providers", "managed:kimi", "oauth", "key"), 11),
        (("providers", "managed:kimi", "missing"), 5),
        (("models", 'a/b "c"', "model"), 14),
        (("models", 'a/b "c"', "overrides", "display_name"), 16),
        (("models",), 13),
        (("extra", "type"), 18),
        (("providers", "trap", "type"), None),
        (("nowhere",), None),
    ],
)
def test_the_line_of_a_key_is_found(path, line):
    assert line_of(TEXT, *path) == line
