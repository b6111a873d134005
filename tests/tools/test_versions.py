"""The site with two versions: `make site` on a tag and on the checkout after it, read by a browser from the folder."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.pages import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return subprocess.run(command, cwd=cwd, env=plain, capture_output=True, text=True, check=False)


def git(checkout: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    assert (done := run("git", *who, *arguments, cwd=checkout)).returncode == 0, done.stderr


def build(checkout: Path, site: Path, *sources: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "tools.versions", *sources, "--into", site, cwd=checkout)


def set_version(checkout: Path, version: str) -> None:
    project = checkout / "pyproject.toml"
    text = re.sub(
        r'^version = ".*"$', f'version = "{version}"', project.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    project.write_text(text, encoding="utf-8")


def add_page(checkout: Path, name: str) -> None:
    (checkout / f"docs/guides/{name}.md").write_text(f"# The page {name}\n", encoding="utf-8")
    with (checkout / "docs/README.md").open("a", encoding="utf-8") as index:
        index.write(f"\n[{name}](guides/{name}.md)\n")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of few pages: 0.9 in the tag v0.9.4, 0.10 in its files. Each has a page that the other lacks."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("tools", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for name in ("docs/README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("# Documentation\n\n## Reference\n", encoding="utf-8")
    (folder / "docs/guides").mkdir()
    (folder / "docs/guides/python.md").write_text("# Python\n", encoding="utf-8")
    add_page(folder, "install")
    with (folder / "docs/README.md").open("a", encoding="utf-8") as index:
        index.write("\n[Python](guides/python.md)\n")
    set_version(folder, "0.9.4")
    git(folder, "init", "--quiet")
    index_of_0_9 = (folder / "docs/README.md").read_bytes()
    add_page(folder, "former")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Release 0.9.4")
    git(folder, "tag", "v0.9.4")
    (folder / "docs/guides/former.md").unlink()
    (folder / "docs/README.md").write_bytes(index_of_0_9)
    add_page(folder, "recent")
    set_version(folder, "0.10.0")
    return folder


@pytest.fixture(scope="module")
def site(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    for sources in (["v0.9.4"], []):
        built = build(checkout, folder, *sources)
        assert (built.returncode, built.stdout, built.stderr) == (0, f"{folder / 'index.html'}\n", "")
    return folder


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """The content of a page, as a browser shows it without a server."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    profile = tmp_path_factory.mktemp("profile")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000"]
    flags += [f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND"]

    @cache
    def dumped(page: Path) -> str:
        done = run(CHROMIUM, *flags, "--dump-dom", page.as_uri(), cwd=profile)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return dumped


def choices(page: str) -> dict[str, Path]:
    """The entries of the version selector, and where they lead."""
    links = re.findall(r'<a href="([^"]+)" class="md-version__link"[^>]*>([^<]+)</a>', page)
    return {version: Path(unquote(urlsplit(url).path)) for url, version in links}


def notice(page: str) -> str | None:
    found = re.search(r'<aside class="md-banner md-banner--warning"[^>]*>(.*?)</aside>', page, re.DOTALL)
    return found and re.sub("<[^>]+>", "", found[1])


def test_a_page_leads_to_itself_in_the_other_version(site: Path, shown: Callable[[Path], str]):
    page = shown(site / "0.10/guides/install.html")
    assert choices(page) == {
        "0.10": site / "0.10/guides/install.html",
        "0.9": site / "0.9/guides/install.html",
    }
    assert [*choices(page)] == ["0.10", "0.9"], "the newest is first, by number"
    assert 'class="md-version__current" aria-label="Select version">0.10</button>' in page
    assert notice(page) is None


def test_an_old_page_knows_the_version_that_was_built_after_it(site: Path, shown: Callable[[Path], str]):
    page = shown(site / "0.9/guides/install.html")
    assert [*choices(page)] == ["0.10", "0.9"]
    assert notice(page) == "This page describes version 0.9. Read it for the newest version, 0.10."


def test_a_page_that_the_other_version_lacks_leads_to_its_start(site: Path, shown: Callable[[Path], str]):
    former = shown(site / "0.9/guides/former.html")
    assert choices(former) == {"0.10": site / "0.10/index.html", "0.9": site / "0.9/guides/former.html"}
    assert notice(former) == "This page describes version 0.9. The newest version, 0.10, does not have this page."
    recent = shown(site / "0.10/guides/recent.html")
    assert choices(recent) == {"0.10": site / "0.10/guides/recent.html", "0.9": site / "0.9/index.html"}


def test_the_start_of_the_site_leads_to_the_newest_version(site: Path, shown: Callable[[Path], str]):
    assert choices(shown(site / "index.html"))["0.10"] == site / "0.10/index.html"


def test_the_other_version_is_shown_in_the_chosen_colors(site: Path, shown: Callable[[Path], str]):
    """The theme stores the choice of light or dark under the path of a folder: here, that of all versions."""
    for page in ("0.9/index.html", "0.10/guides/install.html"):
        scope = re.search(r'__md_scope=new URL\("([^"]+)",location\)', (site / page).read_text(encoding="utf-8"))
        assert scope is not None
        assert (site / page).parent.joinpath(scope[1]).resolve() == site


@pytest.mark.parametrize("name", ["0.9/guides/former.html", "0.10/index.html"])
def test_every_link_of_a_page_has_a_target(site: Path, shown: Callable[[Path], str], name: str):
    for link in re.findall(r'\s(?:href|src)="([^"#?]+)[^"]*"', shown(site / name)):
        target = unquote(link.removeprefix("file://"))
        assert (site / name).parent.joinpath(target).exists(), link


def test_a_build_that_fails_leaves_the_site_as_it_was(checkout: Path, site: Path, tmp_path: Path):
    kept = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    broken = shutil.copytree(checkout, tmp_path / "broken")
    with (broken / "docs/README.md").open("a", encoding="utf-8") as index:
        index.write("\n[Missing](guides/missing.md)\n")
    for source, message in (
        (str(broken), "missing.md"),
        ("v9.9.9", "v9.9.9: not a folder or git revision"),
        ("docs", "docs: not a checkout"),
    ):
        built = build(checkout, site, source)
        assert built.returncode == 1
        assert message in built.stderr
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == kept


def test_a_version_is_built_again_in_its_place(checkout: Path, site: Path, tmp_path: Path):
    again = shutil.copytree(site, tmp_path / "site")
    (again / "0.9/guides/former.html").unlink()
    (again / ".building/0.9").mkdir(parents=True)  # of a build that was killed
    assert build(checkout, again, "v0.9.4").returncode == 0
    listed = {path.relative_to(again) for path in again.rglob("*")}
    assert listed == {path.relative_to(site) for path in site.rglob("*")}
