import pytest

from modelbay.config.load import parse
from modelbay.credentials.credential import Credential, Need, resolve
from modelbay.errors import ConfigError, MissingCredential
from modelbay.origin import origin

NEED = Need(origin("https://api.example/v1"))
NAMES = ["KIMI_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "VERTEXAI_API_KEY", "AZURE_API_KEY"]


@pytest.fixture(autouse=True)
def _no_keys_in_the_shell(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def found(tmp_path, text: str, need: Need = NEED) -> Credential | None:
    config = parse(text, tmp_path / "config.toml")
    config.trusted = True
    assert not config.problems
    model = config.models.get("m")
    return resolve(config, config.providers["p"], model, need)


def key(tmp_path, text: str, need: Need = NEED) -> tuple[str, str]:
    credential = found(tmp_path, text, need)
    assert credential is not None
    assert credential.secret is not None
    assert credential.secret.origin == need.origin
    return credential.secret.reveal(), credential.source


MODEL = '[models.m]\nprovider = "p"\nmodel = "w"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('api_key = "a"\nenv.OPENAI_API_KEY = "b"\n' + MODEL + 'api_key = "c"', ("c", "models.m.api_key")),
        ('api_key = "a"\nenv.OPENAI_API_KEY = "b"\n' + MODEL, ("a", "providers.p.api_key")),
        ('api_key = ""\nenv.OPENAI_API_KEY = " b "\n' + MODEL, ("b", "providers.p.env.OPENAI_API_KEY")),
        ('api_key = " a\t"', ("a", "providers.p.api_key")),
    ],
)
def test_which_key_goes_first(tmp_path, text, expected):
    assert key(tmp_path, f'[providers.p]\ntype = "openai"\n{text}') == expected


@pytest.mark.parametrize(
    ("type", "names"),
    [
        ("kimi", ["KIMI_API_KEY"]),
        ("anthropic", ["ANTHROPIC_API_KEY"]),
        ("openai", ["OPENAI_API_KEY"]),
        ("openai_responses", ["OPENAI_API_KEY"]),
        ("google-genai", ["VERTEXAI_API_KEY", "GOOGLE_API_KEY"]),
        ("vertexai", ["VERTEXAI_API_KEY", "GOOGLE_API_KEY"]),
        ("azure", ["AZURE_OPENAI_API_KEY", "AZURE_API_KEY"]),
    ],
)
def test_each_type_has_its_variable_in_the_env_table(tmp_path, type, names):
    table = f'[providers.p]\ntype = "{type}"\n[providers.p.env]\nOTHER_API_KEY = "x"\n'
    with pytest.raises(MissingCredential):
        found(tmp_path, table)
    for name in reversed(names):
        table += f'{name} = "{name}"\n'
        assert key(tmp_path, table) == (name, f"providers.p.env.{name}")


def test_a_reference_is_followed(tmp_path):
    (tmp_path / "key").write_text("sk-7\n")
    assert key(tmp_path, '[providers.p]\napi_key = "{file:key}"')[0] == "sk-7"


def test_a_reference_that_leads_nowhere_says_where_it_stands(tmp_path):
    with pytest.raises(
        MissingCredential, match=r"^providers\.p\.api_key: the environment variable OPENAI_API_KEY is not"
    ):
        found(tmp_path, '[providers.p]\napi_key = "{env:OPENAI_API_KEY}"')


@pytest.mark.parametrize("value", ["sk 1", "sk-“1”", "sk\\u00a01", "sk\\n1", "sk-\\u0000"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(tmp_path, value):
    with pytest.raises(ConfigError, match=r"^providers\.p\.api_key: the API key contains invalid characters") as caught:
        found(tmp_path, f'[providers.p]\napi_key = "{value}"')
    assert "sk" not in str(caught.value)


def test_a_login_takes_a_keys_place(tmp_path):
    login = 'oauth = { key = "o" }\n'
    credential = found(tmp_path, f'[providers.p]\ntype = "kimi"\napi_key = ""\n{login}')
    assert credential is not None
    assert (credential.kind, credential.source, credential.secret) == ("oauth", "providers.p.oauth", None)
    credential = found(tmp_path, f'[providers.p]\ntype = "kimi"\napi_key = "a"\n{MODEL}{login}')
    assert credential is not None
    assert (credential.kind, credential.source) == ("oauth", "models.m.oauth")


# No key


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ('auth = "none"\napi_key = "a"', NEED),
        ('custom_headers.authorization = "Basic x"', NEED),
        ('custom_headers.API-Key = "x"', NEED),
        ("", Need(origin("https://api.example"), keyless=True)),
        ("", Need(origin("http://127.0.0.1:8080/v1"))),
    ],
)
def test_when_no_key_is_needed(tmp_path, text, need):
    assert found(tmp_path, f'[providers.p]\ntype = "openai"\n{text}', need) is None


def test_an_optional_key_is_used(tmp_path):
    assert key(tmp_path, '[providers.p]\napi_key = "a"', Need(origin("http://localhost"), keyless=True))[0] == "a"


def test_googles_default_credentials_need_no_key(tmp_path):
    credential = found(tmp_path, '[providers.p]\ntype = "vertexai"\napi_key = "a"', Need(NEED.origin, adc=True))
    assert credential is not None
    assert (credential.kind, credential.secret) == ("adc", None)


def test_a_missing_key_names_the_file_the_provider_and_the_ways_on(tmp_path):
    with pytest.raises(MissingCredential) as caught:
        found(
            tmp_path,
            '[providers.p]\ntype = "openai"',
            Need(NEED.origin, advice="get an API key at https://keys.example"),
        )
    error = caught.value
    assert str(error) == f'no API key set for provider "p" in {tmp_path}/config.toml'
    assert (error.provider, error.file) == ("p", f"{tmp_path}/config.toml")
    assert error.hint == (
        "`modelbay key set p`, or write api_key under [providers.p], or OPENAI_API_KEY under [providers.p.env]; "
        'if the server requires no key, set auth = "none"; get an API key at https://keys.example'
    )


def test_the_shells_key_is_not_used_and_the_hint_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-shell")
    with pytest.raises(MissingCredential) as caught:
        found(tmp_path, '[providers.p]\ntype = "openai"')
    assert caught.value.hint == (
        "the environment variable OPENAI_API_KEY is set but not read implicitly; to use it, "
        'write api_key = "{env:OPENAI_API_KEY}" under [providers.p]'
    )


def test_a_standalone_model_without_a_key_gets_a_hint(tmp_path):
    config = parse('[models."a b"]\nbase_url = "https://h/v1"\nprotocol = "openai"\nmodel = "w"', tmp_path / "c.toml")
    model = config.models["a b"]
    with pytest.raises(MissingCredential) as caught:
        resolve(config, config.provider_of(model), model, NEED)
    assert str(caught.value.hint).startswith('write api_key under [models."a b"]; ')


def test_the_variable_that_api_key_env_names_is_the_key(tmp_path, monkeypatch):
    """Kimi Code's key: before those of the `env` table, and an unset variable is an error instead of another key."""
    text = '[providers.p]\ntype = "openai"\napi_key_env = " SOME_KEY "\nenv.OPENAI_API_KEY = "other"\n'
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(MissingCredential, match=r"providers\.p\.api_key_env: .*SOME_KEY is not set"):
        found(tmp_path, text)
    monkeypatch.setenv("SOME_KEY", "sk-some")
    assert key(tmp_path, text) == ("sk-some", "providers.p.api_key_env")
    assert key(tmp_path, text + MODEL + 'api_key = "own"') == ("own", "models.m.api_key")
