"""The project file: its place, the files that are read, and the allowed content."""

import os
from pathlib import Path

import pytest

from modelbay import project_pins
from modelbay.config.load import parse as parsed_config
from modelbay.errors import ConfigError, UnknownModel
from modelbay.project_pins import LARGEST, MODEL, NAME, SMALL_MODEL, digest, found, parse, pinned
from modelbay.storage.trusted_files import TrustedFiles

CONFIG = """\
default_model = "usual"

[providers.acme]
type = "openai"
base_url = "https://acme.example/v1"

[models.usual]
provider = "acme"
model = "acme-1"

[models.large]
provider = "acme"
model = "acme-2"
aliases = ["big"]

[models.large.variants.deep]
reasoning_effort = "high"

[models.other]
provider = "acme"
model = "acme-2"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's home, with a repository `code/project`, which has a folder `src/deep`."""
    user = (tmp_path / "user").resolve()
    (user / "code" / "project" / ".git").mkdir(parents=True)
    (user / "code" / "project" / "src" / "deep").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.setenv("USERPROFILE", str(user))
    return user


@pytest.fixture
def trusted(tmp_path: Path) -> TrustedFiles:
    return TrustedFiles(tmp_path / "trusted_files.json")


def put(folder: Path, text: str | bytes = 'model = "large"\n') -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def config():
    return parsed_config(CONFIG, Path("config.toml"))


# where it is searched for


def test_the_nearest_file_counts(home: Path, monkeypatch: pytest.MonkeyPatch):
    project = home / "code" / "project"
    monkeypatch.chdir(project / "src" / "deep")
    assert found() is None
    root = put(project)
    assert found() == root
    nearer = put(project / "src")
    assert found() == nearer


def test_no_file_above_the_repository_counts(home: Path, monkeypatch: pytest.MonkeyPatch):
    put(home / "code")
    monkeypatch.chdir(home / "code" / "project" / "src")
    assert found() is None
    (home / "code" / "project" / ".git").rmdir()
    assert found() == home / "code" / NAME


def test_the_root_of_a_worktree_ends_the_search_too(home: Path, monkeypatch: pytest.MonkeyPatch):
    put(home)
    (home / "tree").mkdir()
    (home / "tree" / ".git").write_text("gitdir: elsewhere\n")
    monkeypatch.chdir(home / "tree")
    assert found() is None


def test_no_file_above_the_home_folder_counts(home: Path, monkeypatch: pytest.MonkeyPatch):
    put(home.parent)
    (home.parent / ".git").mkdir()  # a repository around the home folder
    (home / "notes").mkdir()
    monkeypatch.chdir(home / "notes")
    assert found() is None
    put(home)
    assert found() == home / NAME


def test_outside_of_home_and_repositories_only_the_working_directory_is_searched(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put(tmp_path / "shared")
    (tmp_path / "shared" / "work").mkdir()
    monkeypatch.chdir(tmp_path / "shared" / "work")
    assert found() is None
    monkeypatch.chdir(tmp_path / "shared")
    assert found() == (tmp_path / "shared" / NAME).resolve()


def test_a_link_to_the_working_directory_does_not_change_the_path(home: Path, monkeypatch: pytest.MonkeyPatch):
    path = put(home / "code" / "project")
    (home / "link").symlink_to(home / "code" / "project" / "src")
    monkeypatch.chdir(home / "link")
    assert found() == path


def test_a_removed_working_directory_has_no_project(home: Path, monkeypatch: pytest.MonkeyPatch):
    (home / "gone").mkdir()
    monkeypatch.chdir(home / "gone")
    (home / "gone").rmdir()
    assert found() is None


# which files are read


def test_a_file_without_trust_is_ignored(home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch):
    path = put(home)
    monkeypatch.chdir(home)
    made = pinned(config(), trusted)
    assert made.config.default_model == "usual" and made.pins is None
    assert made.ignored == f"ignored {path}: not trusted; show its models and trust it: `modelbay trust`"


def test_a_file_without_trust_is_not_parsed(home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch):
    put(home, "not TOML")
    monkeypatch.chdir(home)
    assert "not trusted" in pinned(config(), trusted).ignored


def test_a_trusted_file_sets_the_default_model(home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch):
    path = put(home)
    trusted.add(path, digest(path.read_bytes()))
    monkeypatch.chdir(home)
    made = pinned(config(), trusted)
    assert made.checked().default_model == "large" and not made.ignored
    assert made.reason == f"large is the default model here: {path}, line 1"


def test_a_file_that_changed_is_ignored(home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch):
    path = put(home)
    trusted.add(path, digest(path.read_bytes()))
    put(home, 'model = "large"\n\n')
    monkeypatch.chdir(home)
    made = pinned(config(), trusted)
    assert made.config.default_model == "usual"
    assert "changed since you trusted it" in made.ignored


def test_the_same_content_in_another_folder_is_ignored(
    home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch
):
    path, other = put(home), put(home / "code" / "project")
    trusted.add(path, digest(path.read_bytes()))
    monkeypatch.chdir(other.parent)
    assert "not trusted" in pinned(config(), trusted).ignored


def test_a_file_without_trust_hides_a_trusted_one_above_it(
    home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch
):
    path = put(home / "code" / "project")
    trusted.add(path, digest(path.read_bytes()))
    put(home / "code" / "project" / "src", 'model = "usual"\n')
    monkeypatch.chdir(home / "code" / "project" / "src")
    made = pinned(config(), trusted)
    assert made.pins is None and "src" in made.ignored


def test_the_bytes_that_are_parsed_are_those_of_the_digest(
    home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch
):
    path = put(home)
    trusted.add(path, digest(path.read_bytes()))
    monkeypatch.chdir(home)

    def swap(data: bytes) -> str:  # another program replaces the file as soon as it was read
        put(home, 'model = "usual"\n')
        return digest(data)

    monkeypatch.setattr(project_pins, "digest", swap)
    assert pinned(config(), trusted).config.default_model == "large"


def test_files_that_are_not_plain_files_are_ignored(home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch):
    path = home / NAME
    monkeypatch.chdir(home)
    (home / "elsewhere").write_text('model = "large"\n')
    trusted.add(path, digest(b'model = "large"\n'))
    path.symlink_to(home / "elsewhere")
    assert pinned(config(), trusted).ignored == f"ignored {path}: a symbolic link"
    path.unlink()
    path.symlink_to(home / "missing")
    assert pinned(config(), trusted).ignored == f"ignored {path}: a symbolic link"
    path.unlink()
    path.mkdir()
    assert "not a regular file" in pinned(config(), trusted).ignored
    path.rmdir()
    os.mkfifo(path)
    assert pinned(config(), trusted).ignored == f"ignored {path}: not a regular file"


def test_a_link_that_replaces_the_file_after_the_look_is_ignored(home: Path, monkeypatch: pytest.MonkeyPatch):
    path = home / NAME
    (home / "elsewhere").write_text('model = "large"\n')
    path.symlink_to(home / "elsewhere")
    monkeypatch.setattr(Path, "is_symlink", lambda self: False)
    with pytest.raises(ConfigError, match="cannot be read"):
        project_pins.content(path)


def test_a_large_file_is_ignored(home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch):
    path = put(home, b"#" * (LARGEST + 1))
    trusted.add(path, digest(path.read_bytes()))
    monkeypatch.chdir(home)
    assert "too large: 65,536 bytes at most" in pinned(config(), trusted).ignored
    put(home, b"#" * LARGEST)
    assert "too large" not in pinned(config(), trusted).ignored


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_the_user_cannot_read_is_ignored(
    home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch
):
    put(home).chmod(0)
    monkeypatch.chdir(home)
    assert "cannot be read" in pinned(config(), trusted).ignored


def test_with_a_damaged_list_of_trusted_files_no_file_is_used(
    home: Path, trusted: TrustedFiles, monkeypatch: pytest.MonkeyPatch
):
    path = put(home)
    trusted.add(path, digest(path.read_bytes()))
    trusted.path.chmod(0o666)
    monkeypatch.chdir(home)
    made = pinned(config(), trusted)
    assert made.pins is None and "other users can change it" in made.ignored


# its content


def test_an_agents_own_pins_come_first():
    text = 'model = "a"\nsmall_model = "b"\n[agents.claude]\nmodel = "c"\n'
    pins = parse(Path("/p"), text.encode())
    names = {(setting, agent): pins.of(setting, agent) for setting in (MODEL, SMALL_MODEL) for agent in ("claude", "")}
    assert {place: pin and (pin.model, pin.line) for place, pin in names.items()} == {
        (MODEL, "claude"): ("c", 4),
        (SMALL_MODEL, "claude"): ("b", 2),
        (MODEL, ""): ("a", 1),
        (SMALL_MODEL, ""): ("b", 2),
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('model = "a"\nmodell = "b"', "line 2: modell: unknown key"),
        ('[agents.claude]\nmodel = "a"\neffort = "high"', "line 3: agents.claude.effort: unknown key"),
        ('\n[agents.cloude]\nmodel = "a"', "line 2: agents.cloude: unknown agent"),
        ('[providers.evil]\nbase_url = "https://evil.example"', "line 1: providers: unknown key"),
        ('default_model = "a"', "line 1: default_model: unknown key"),
        ("model = 1", "line 1: model: expected the name of a model"),
        ('model = ""', "line 1: model: expected the name of a model"),
        ('model = " a"', "line 1: model: expected the name of a model"),
        ('model = "a\\u001b[2Jb"', "line 1: model: expected the name of a model"),
        ('model = "a\\u202eb"', "line 1: model: expected the name of a model"),
        ('model = "a\\nb"', "line 1: model: expected the name of a model"),
        ('[model]\nprovider = "evil"', "line 1: model: expected the name of a model"),
        ('agents = "a"', "line 1: agents: expected a table"),
        ('[agents]\nclaude = "a"', "line 2: agents.claude: expected a table"),
        ("model =", "line 1: invalid value"),
        ("model = " + "[" * 5000, "nested too deeply"),
    ],
)
def test_any_other_key_or_value_is_an_error_with_its_line(text: str, problem: str):
    with pytest.raises(ConfigError) as raised:
        parse(Path("/p"), text.encode())
    assert "/p" in raised.value.message and problem in raised.value.message
    assert raised.value.file == "/p"


def test_text_that_is_not_utf8_is_an_error_with_its_line():
    with pytest.raises(ConfigError, match="line 2: not UTF-8 text"):
        parse(Path("/p"), b'model = "a"\nsmall_model = "\xff"\n')


@pytest.mark.parametrize("name", ["usual", "big", "acme/acme-1", "large:deep", "acme/acme-2"])
def test_a_pin_names_a_configured_model(name: str):
    pins = parse(Path("/p"), f'model = "{name}"'.encode())
    pin = pins.of(MODEL)
    assert pin is not None and pins.entry(pin, config()).provider == "acme"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("usuall", "usual"),
        ("acme/acme-3", "provider edit acme --add-model acme-3"),
        ("acme/x; rm -r .", "--add-model 'x; rm -r .'`"),
        ("evil/m", ""),
    ],
)
def test_a_pin_of_another_model_is_an_error_with_its_line(name: str, hint: str):
    pins = parse(Path("/p"), f'\nmodel = "{name}"'.encode())
    pin = pins.of(MODEL)
    assert pin is not None
    with pytest.raises(UnknownModel, match="/p, line 2: ") as raised:
        pins.entry(pin, config())
    assert hint in (raised.value.hint or "") and raised.value.line == 2
