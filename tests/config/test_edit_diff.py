"""The diff of an edit, without secrets."""

import pytest

from modelbay.config.diff import unified

KEY = "sk-very-secret-0123456789"


def test_the_diff_of_equal_texts_is_empty():
    assert unified("a = 1\n", "a = 1\n", "f") == ""


def test_a_diff_has_the_lines_around_a_change():
    before = "".join(f"k{n} = {n}\n" for n in range(9))
    assert unified(before, before.replace("k5 = 5", "k5 = 6"), "config.toml") == (
        "--- config.toml\n+++ config.toml\n@@ -3,7 +3,7 @@\n"
        " k2 = 2\n k3 = 3\n k4 = 4\n-k5 = 5\n+k5 = 6\n k6 = 6\n k7 = 7\n k8 = 8\n"
    )


def test_line_endings_do_not_show():
    assert unified("a = 1\r\n", "a = 2\r\n", "f").splitlines()[-2:] == ["-a = 1", "+a = 2"]


def test_a_changed_secret_is_shown_as_a_change_and_masked():
    before = f'[providers.a]\ntype = "openai"\napi_key = "{KEY}" # mine\n'
    diff = unified(before, before.replace(KEY, "sk-other-secret"), "f")
    assert diff.splitlines()[-2:] == ['-api_key = "…" # mine', '+api_key = "…" # mine']
    assert "secret" not in diff


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f'api_key = "{KEY}"', 'api_key = "…"'),
        (f"api_key = '''\n{KEY}'''", 'api_key = "…"\n…'),
        (f'env.OPENAI_API_KEY = "{KEY}"', 'env.OPENAI_API_KEY = "…"'),
        (f'env = {{ OPENAI_API_KEY = "{KEY}", A = "" }}', 'env = { OPENAI_API_KEY = "…", A = "" }'),
        (f'custom_headers = {{ X-Anything = "Bearer {KEY}" }}', 'custom_headers = { X-Anything = "…" }'),
        (f'source = {{ kind = "apiJson", apiKey = "{KEY}" }}', 'source = { kind = "apiJson", apiKey = "…" }'),
        (f'token = "{KEY}"', 'token = "…"'),
        (f'more = [{{ access_token = "{KEY}" }}]', 'more = [{ access_token = "…" }]'),
        (f'client-secret = "{KEY}"', 'client-secret = "…"'),
        (f'base_url = "https://me:{KEY}@host/v1"', 'base_url = "https://…@host/v1"'),
        (
            f'base_url = "https://host/v1?a=1&key={KEY}&api-version=2"',
            'base_url = "https://host/v1?a=…&key=…&api-version=2"',
        ),
        (f'proxy = "socks5://{KEY}@host"', 'proxy = "socks5://…@host"'),
        (f'# api_key = "{KEY}"', '# api_key = "…"'),
        ('# api_key = "a b"', '# api_key = "…"'),
        ("# password = hunter2", '# password = "…"'),
        ('# X-Any = "hunter2"', '# X-Any = "…"'),
        ('# env = { OPENAI_API_KEY = "hunter2", A = "" }', '# env = { OPENAI_API_KEY = "…", A = "" }'),
        ('# custom_headers = { X-Any = "hunter2" } # mine', '# custom_headers = { X-Any = "…" }'),
        ('# base_url = "https://me:hunter2@host/v1"', '# base_url = "https://…@host/v1"'),
    ],
)
@pytest.mark.parametrize("where", ["new", "old", "around"])
def test_secrets_are_masked(line, shown, where):
    table = f"[providers.a]\n{line}\n"
    before, after = {"new": ("", table), "old": (table, ""), "around": (f"{table}a = 1\n", f"{table}a = 2\n")}[where]
    diff = unified(before, after, "f")
    sign = {"new": "+", "old": "-", "around": " "}[where]
    for part in shown.split("\n"):
        assert f"\n{sign}{part}\n" in diff
    assert not any(secret in diff for secret in (KEY, "hunter2", "a b"))


@pytest.mark.parametrize(
    "table",
    [
        '[providers.a.custom_headers]\n# X-Any = "hunter2"\n',
        '[providers.a]\ntype = "openai"\n# [providers.a.env] # not yet\n# ANY_KEY = "hunter2"\n',
        'default_model = "m"\n\n# [providers.b.custom_headers]\n# X-Any = "hunter2"\n\n[models.m]\nmodel = "m"\n',
    ],
)
def test_a_commented_out_setting_is_masked_by_the_table_that_it_is_in(table):
    shown = [line[1:] for line in unified("", table, "f").splitlines()[3:]]
    assert shown == table.replace("hunter2", "…").splitlines()


def test_values_that_are_not_secret_are_unchanged():
    table = """\
[models.a]
max_output_size = 8_192 # tokens
max_tokens = "many"
api_key = "{env:OPENAI_API_KEY}"
oauth = { storage = 'file', key = "oauth/kimi-code" }
tls = {key="/etc/key.pem"}
base_url = "https://host/v1?api-version=2024-10-21"
capabilities = [
  "tools", # yes
]
# a comment
# max_tokens = 5 # commented out
# api_key = "{env:OPENAI_API_KEY}"
[models.b]
api_key = "{command:pass show sk-secret}"
"""
    shown = [line[1:] for line in unified("", table, "f").splitlines()[3:]]
    assert shown == table.replace("{command:pass show sk-secret}", "{command:…}").splitlines()


def test_the_headers_of_the_tables_in_a_secret_table_are_shown():
    diff = unified("", f'[providers.a.env]\nA = "{KEY}"\n', "f")
    assert diff.endswith('+[providers.a.env]\n+A = "…"\n')
