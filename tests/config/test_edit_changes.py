"""The operations that commands and the app use: changes of the file, and their results."""

from pathlib import Path
from typing import Any

import pytest

from modelbay.config import changes
from modelbay.config.changes import Changed, Removed, WriteResult
from modelbay.config.edit import apply
from modelbay.config.load import load
from modelbay.errors import ConfigError, UnknownModel, UnknownProvider

TEXT = """\
default_model = "acme/one:deep"  # the quick one
default_provider = "acme"

# work
[providers.acme]
type = "openai"
api_key = "sk-1"

# home
[providers.beta]
type = "kimi"
default_model = "acme/two"

# about one
[models."acme/one"]
provider = "acme"
model = "one"
aliases = ["uno"]
cost = { input = 1 } # dollars

[models."acme/one".variants.deep]
reasoning_effort = "high"

[models."acme/two"]
model = "two"

[models.three]
provider = "beta"
model = "3"

[models.alone]
base_url = "http://localhost:1234/v1"
protocol = "openai"
model = "local"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    return path


def done(file: Path, change: Any, *arguments: Any, **options: Any) -> Any:
    result = apply(lambda edit: change(edit, *arguments, **options), file).result
    assert load(file).problems == []
    return result


# Adding


def test_a_provider_is_added_with_its_models(file):
    models = {"new/b": {"model": "b", "max_context_size": 1000}, "new/a": {"model": "a"}}
    put = done(file, changes.add_provider, "new", {"type": "anthropic", "api_key": "sk-2"}, models)
    assert put == WriteResult("new", added=["new/b", "new/a"])
    text = file.read_text()
    assert text.startswith(TEXT[: TEXT.index("# about one")])
    assert '# home\n[providers.beta]\ntype = "kimi"\ndefault_model = "acme/two"\n\n[providers.new]\n' in text
    assert text.endswith(
        'model = "local"\n\n[models."new/b"]\nprovider = "new"\nmodel = "b"\nmax_context_size = 1000\n\n'
        '[models."new/a"]\nprovider = "new"\nmodel = "a"\n'
    )


def test_the_first_provider_and_the_default_model_make_a_file(file):
    file.unlink()
    put = done(file, changes.add_provider, "a", {"type": "openai"}, {"a/m": {"model": "m"}}, default_model="a/m")
    assert put == WriteResult("a", added=["a/m"], default_model="a/m")
    assert file.read_text() == (
        'default_model = "a/m"\n\n[providers.a]\ntype = "openai"\n\n[models."a/m"]\nprovider = "a"\nmodel = "m"\n'
    )


def test_new_models_follow_the_last_model_of_their_provider(file):
    put = done(file, changes.put_models, "acme", {"acme/x": {"model": "x"}, "acme/y": {"model": "y"}})
    assert put.added == ["acme/x", "acme/y"]
    assert list(load(file).models) == ["acme/one", "acme/x", "acme/y", "acme/two", "three", "alone"]


def test_an_existing_provider_is_not_overwritten(file):
    with pytest.raises(ConfigError, match='provider "acme" already exists'):
        done(file, changes.add_provider, "acme", {"type": "openai"})
    assert file.read_text() == TEXT


def test_a_provider_is_replaced_on_request(file):
    done(file, changes.add_provider, "acme", {"type": "openai", "base_url": "https://a.example/v1"}, replace=True)
    assert file.read_text() == TEXT.replace('api_key = "sk-1"', 'base_url = "https://a.example/v1"')


def test_existing_models_keep_their_other_keys(file):
    new = {
        "acme/one": {"model": "one", "max_context_size": 1000},
        "acme/two": {"model": "two"},
        "acme/three": {"model": "three"},
    }
    put = done(file, changes.put_models, "acme", new)
    assert put == WriteResult("acme", added=["acme/three"], changed=["acme/one", "acme/two"])
    assert load(file).models["acme/one"].variants == {"deep": {"reasoning_effort": "high"}}
    assert "cost = { input = 1 } # dollars\nmax_context_size = 1000\n" in file.read_text()
    assert done(file, changes.put_models, "acme", new) == WriteResult("acme", unchanged=list(new))


def test_an_alias_of_another_provider_is_not_taken_over(file):
    with pytest.raises(ConfigError, match='the model "three" belongs to provider "beta"'):
        done(file, changes.add_provider, "new", {"type": "openai"}, {"three": {"model": "m"}})
    assert file.read_text() == TEXT


# Changing


@pytest.mark.parametrize(
    ("model", "whose"),
    [
        ('base_url = "https://solo.example/v1"\napi_key = "sk-solo"', "is standalone"),
        ('api_key = "sk-mine"', 'belongs to provider "acme"'),
        ("", 'belongs to provider "acme"'),
    ],
)
def test_a_model_without_a_provider_belongs_to_no_other(tmp_path: Path, model: str, whose: str):
    """Otherwise a list with a model of that name would receive the model's own key."""
    file = tmp_path / "config.toml"
    file.write_text(f'{TEXT}\n[models."beta/x"]\nmodel = "x"\n{model}\n')
    before = file.read_text()
    with pytest.raises(ConfigError, match=whose):
        apply(lambda edit: changes.put_models(edit, "beta", {"beta/x": {"model": "y"}}), file)
    assert file.read_text() == before


def test_a_model_with_an_unowned_key_is_not_taken_over(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text('[providers.beta]\ntype = "kimi"\n\n[models."beta/x"]\nmodel = "x"\n')
    assert apply(lambda edit: changes.put_models(edit, "beta", {"beta/x": {}}), file).result.changed == ["beta/x"]
    file.write_text(file.read_text().replace('provider = "beta"', 'api_key = "sk-mine"'))
    with pytest.raises(ConfigError, match="is standalone"):
        apply(lambda edit: changes.put_models(edit, "beta", {"beta/x": {}}), file)


def test_keys_of_a_model_are_set_and_removed(file):
    changed = done(
        file,
        changes.change_model,
        "acme/one",
        {
            ("max_output_size",): 8192,
            ("cost", "output"): 2.5,
            ("variants", "deep", "reasoning_effort"): "low",
            ("aliases",): None,
            ("display_name",): None,
            ("model",): "one",
        },
    )
    assert changed == Changed(
        set=["max_output_size", "cost.output", "variants.deep.reasoning_effort"], removed=["aliases"]
    )
    assert file.read_text() == TEXT.replace('aliases = ["uno"]\n', "").replace(
        "cost = { input = 1 } # dollars\n", "cost = { input = 1, output = 2.5 } # dollars\nmax_output_size = 8192\n"
    ).replace('"high"', '"low"')


def test_keys_of_a_provider_are_set_and_removed(file):
    changed = done(file, changes.change_provider, "acme", {("custom_headers", "X-Team"): "blue", ("api_key",): "sk-9"})
    assert changed == Changed(set=["custom_headers.X-Team", "api_key"], removed=[])
    assert 'api_key = "sk-9"\ncustom_headers = { X-Team = "blue" }\n' in file.read_text()
    assert done(file, changes.change_provider, "acme", {("custom_headers", "X-Team"): None}).removed == [
        "custom_headers.X-Team"
    ]


@pytest.mark.parametrize(
    ("keys", "value", "complaint"),
    [
        (("max_output_size",), "many", 'models."acme/one".max_output_size: expected a whole number, got text'),
        (("protocol",), "gopher", "unknown protocol 'gopher'"),
        (("cost",), 1, 'models."acme/one".cost: expected a table'),
        (("model",), None, "no model ID"),
        (("provider",), "nobody", 'its provider "nobody" does not exist'),
    ],
)
def test_a_change_that_would_make_an_entry_unusable_is_refused(file, keys, value, complaint):
    with pytest.raises(ConfigError) as caught:
        done(file, changes.change_model, "acme/one", {keys: value})
    assert complaint in caught.value.message
    assert file.read_text() == TEXT


def test_an_entry_that_was_unusable_before_does_not_prevent_changes(file):
    file.write_text(TEXT + "[models.broken]\nmodel = 3\n")
    apply(lambda edit: changes.change_model(edit, "three", {("model",): "4"}), file)
    assert load(file).models["three"].model == "4"
    apply(lambda edit: changes.change_model(edit, "broken", {("model",): "m", ("provider",): "beta"}), file)
    assert load(file).problems == []


def test_a_missing_entry_is_not_changed(file):
    with pytest.raises(UnknownProvider, match='no provider "acne"') as provider:
        done(file, changes.change_provider, "acne", {("name",): "A"})
    assert provider.value.hint == 'did you mean "acme"?'
    with pytest.raises(UnknownModel, match='no model "thre"') as model:
        done(file, changes.change_model, "thre", {("model",): "A"})
    assert model.value.hint == 'did you mean "three"?'
    with pytest.raises(UnknownModel, match='no entry "uno"') as model:
        done(file, changes.change_model, "uno", {("model",): "A"})
    assert model.value.hint == 'its alias is "acme/one"'
    with pytest.raises(UnknownModel, match='no entry "beta/9"') as model:
        done(file, changes.change_model, "beta/9", {("model",): "A"})
    assert model.value.hint == "add it as a model first"


# Removing


def test_removing_a_provider_removes_its_models_and_references(file):
    removed = done(file, changes.remove_provider, "acme")
    assert removed == Removed(
        providers=["acme"],
        models=["acme/one", "acme/two"],
        default_model="acme/one:deep",
        default_provider="acme",
        provider_defaults=["beta"],
    )
    assert file.read_text() == ('# home\n[providers.beta]\ntype = "kimi"\n\n' + TEXT[TEXT.index("[models.three]") :])


def test_removing_an_unused_provider_removes_nothing_else(file):
    assert done(file, changes.remove_provider, "beta") == Removed(providers=["beta"], models=["three"])
    assert load(file).default_model == "acme/one:deep"


def test_the_last_provider_leaves_no_table_behind(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('# mine\n\n[providers.a]\ntype = "openai"\n\n[models.m]\nprovider = "a"\nmodel = "m"\n')
    done(file, changes.remove_provider, "a")
    assert file.read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("default", "gone"),
    [
        ("acme/one", True),
        ("uno", True),
        ("acme/one:deep", True),
        ("acme/unlisted", True),
        ("three", False),
        ("beta/3", False),
        ("nothing", False),
    ],
)
def test_a_default_is_removed_with_its_model(file, default, gone):
    file.write_text(TEXT.replace("acme/one:deep", default))
    assert done(file, changes.remove_provider, "acme").default_model == (default if gone else None)
    assert load(file).default_model == (None if gone else default)


def test_removing_models_removes_references_to_them(file):
    removed = done(file, changes.remove_models, ["acme/two", "acme/one"])
    assert removed == Removed(
        models=["acme/two", "acme/one"], default_model="acme/one:deep", provider_defaults=["beta"]
    )
    assert list(load(file).models) == ["three", "alone"]


def test_a_broken_entry_can_be_removed(file):
    file.write_text(TEXT + "[providers.bad]\ntype = 3\n[models.bad]\nprovider = 'bad'\n")
    assert done(file, changes.remove_provider, "bad") == Removed(providers=["bad"], models=["bad"])
    assert file.read_text() == TEXT


def test_a_missing_entry_is_not_removed(file):
    with pytest.raises(UnknownProvider):
        done(file, changes.remove_provider, "nobody")
    with pytest.raises(UnknownModel):
        done(file, changes.remove_models, ["three", "nobody"])
    assert file.read_text() == TEXT


# The default


def test_the_default_model_is_set_and_unset(file):
    assert done(file, changes.set_default_model, "three") == "acme/one:deep"
    assert file.read_text() == TEXT.replace('"acme/one:deep"', '"three"')
    assert done(file, changes.set_default_model, None) == "three"
    assert file.read_text() == TEXT[TEXT.index("default_provider") :]
    assert done(file, changes.set_default_model, "three") is None


# Size


def test_thousands_of_models_are_added_in_one_transaction(file):
    models = {f"acme/m{n}": {"model": f"m{n}", "max_context_size": n + 1, "cost": {"input": 1}} for n in range(1000)}
    assert len(done(file, changes.put_models, "acme", models).added) == 1000
    assert len(load(file).models) == 1004
    assert file.read_text().startswith(TEXT[: TEXT.index('[models."acme/two"]')])
