from pathlib import Path

import platformdirs
import pytest

from modelbay.storage import paths
from tests.cli.inside import Inside


def test_the_home_is_what_the_user_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    assert paths.home() == tmp_path
    assert paths.config_file() == tmp_path / "config.toml"
    assert paths.cache_dir() == tmp_path / "cache"


def test_the_home_may_be_written_with_a_tilde(monkeypatch):
    monkeypatch.setenv("MODELBAY_HOME", "~/bay")
    assert paths.home() == Path.home() / "bay"


@pytest.mark.parametrize("folder", ["conf", "./conf", ""])
def test_a_relative_folder_of_xdg_is_ignored(monkeypatch, folder):
    monkeypatch.setenv("XDG_CONFIG_HOME", folder)
    monkeypatch.setenv("XDG_DATA_HOME", folder)
    assert paths.user_config_dir() == Path.home() / ".config"
    assert paths.user_data_dir() == Path.home() / ".local" / "share"


@pytest.mark.parametrize("blank", [None, "", " "])
def test_without_it_the_platform_says(monkeypatch, blank):
    if blank is None:
        monkeypatch.delenv("MODELBAY_HOME", raising=False)
    else:
        monkeypatch.setenv("MODELBAY_HOME", blank)
    assert paths.home() == platformdirs.user_config_path("modelbay", appauthor=False)
    assert paths.cache_dir() == platformdirs.user_cache_path("modelbay", appauthor=False)


@pytest.mark.parametrize(
    "command", [("config", "path"), ("ask", "Hello"), ("serve",), ("client", "list"), ("model", "list")]
)
@pytest.mark.parametrize("home", [None, "~nosuchuser/bay"])
def test_a_user_without_a_home_is_told_which_variable_to_set(monkeypatch, tmp_path, command, home):
    bay = Inside(tmp_path, monkeypatch)
    for name in ("MODELBAY_HOME", "HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)  # as in a container with any user ID
    if home:
        monkeypatch.setenv("MODELBAY_HOME", home)
    run = bay(*command)
    assert run.code == 1 and "MODELBAY_HOME" in run.err and "Traceback" not in run.err


def test_an_absolute_folder_of_xdg_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "conf"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert (paths.user_config_dir(), paths.user_data_dir()) == (tmp_path / "conf", tmp_path / "data")
