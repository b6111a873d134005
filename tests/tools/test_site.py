"""The site of the documentation, built as `make site` builds it: any broken link or reference is an error."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import modelbay
from modelbay import sync, testing
from tests.pages import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "tools.versions", "--into", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, "")
    return folder / modelbay.__version__.rpartition(".")[0]


def html(site: Path, page: str) -> str:
    return (site / page).read_text(encoding="utf-8")


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path):
    index = html(site, "index.html").split("<article")[0]
    for page in DOCS:
        name = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix().replace("README", "index")
        assert (site / name).exists()
        assert f'href="{name}"' in index or name == "index.html", f"{name} is not in docs/README.md"


LOADS = re.compile(
    r"""<(?:script|img|iframe|source|embed|object|video|audio)\b[^>]*\s(?:src|srcset|data|poster)=["']?(?:https?:)?//[^"' >]+"""
    r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*\shref=["']?(?:https?:)?//[^"' >]+|(?:url\(|@import )['"]?(?:https?:)?//[^'")]+"""
)
ON_CONDITION = {
    "https://unpkg.com/resize-observer-polyfill": "browsers without ResizeObserver, which are older than 2020",
    "https://unpkg.com/mermaid@11/dist/mermaid.min.js": "pages with a diagram of Mermaid",
    "https://api.github.com/": "a site with the URL of its repository",
    "http://www.w3.org/": "names of XML, which are not loaded",
}
"""URLs in the scripts of the theme, and where they are loaded: never on these pages."""


def test_the_site_loads_nothing_from_other_hosts(site: Path):
    for path in (*site.rglob("*.html"), *site.rglob("*.css")):
        assert LOADS.findall(path.read_text(encoding="utf-8")) == [], path.name
    for path in (site / "assets/javascripts").rglob("*.js"):
        for url in re.findall(r"""["'`]((?:https?:)?//[\w.-]+\.\w[^"'`$]*)""", path.read_text(encoding="utf-8")):
            assert any(url.startswith(known) for known in ON_CONDITION), f"{path.name}: {url}"
    pages = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))
    assert 'class="mermaid"' not in pages and 'data-md-component="source"' not in pages


def test_every_link_in_the_site_has_a_target(site: Path):
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    headings = {path: {*re.findall(r'\s(?:id|name)="([^"]+)"', page), ""} for path, page in pages.items()}
    for path, page in pages.items():
        for link in re.findall(r'<(?!code\b)[^<>]+?\s(?:href|src)="([^"]*)"', page):
            if re.match(r"https?://|data:", link):
                continue
            name, _, heading = link.partition("#")
            target = path.parent.joinpath(name).resolve() if name else path
            assert target.exists(), f"{path.relative_to(site)}: {link}"
            assert heading in headings.get(target, {""}), f"{path.relative_to(site)}: {link}"


def test_faces_of_a_task_are_tabs(site: Path):
    article = html(site, "guides/thinking.html").split("<article", 1)[1]
    tabs = re.search(r'<div class="tabbed-labels">(.*?)</div>', article, re.DOTALL)
    assert tabs is not None
    assert re.findall(r"<label[^>]*>([^<]+)<", tabs[1]) == ["Command line", "App", "Python", "config.toml"]
    assert "<strong>Command line</strong>" not in article


def test_the_search_prefers_guides(site: Path):
    docs = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))["docs"]
    boosts = {entry["location"].partition("#")[0]: entry.get("boost", 1) for entry in docs}
    assert boosts["guides/network.html"] == boosts["concepts/keys.html"] == 1
    assert boosts["reference/api.html"] == boosts["architecture.html"] == 0.5


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_search_works_in_a_folder_without_a_server(site: Path, tmp_path: Path):
    assert CHROMIUM is not None
    page = f"{(site / 'guides/network.html').as_uri()}?q=certificate"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=60000",
        f"--user-data-dir={tmp_path}",
    ]
    flags.append("--host-resolver-rules=MAP * ~NOTFOUND")  # Chromium itself asks for updates
    shown = subprocess.run([CHROMIUM, *flags, "--dump-dom", page], capture_output=True, text=True, check=True).stdout
    assert re.search(r'md-search-result__meta">\s*\d+ matching documents', shown)


def test_every_exported_name_has_an_entry_in_the_reference_of_the_python_library(site: Path):
    entries = set(re.findall(r'<h\d id="[\w.]+\.(\w+)" class="doc', html(site, "reference/api.html")))
    exported = {*modelbay.__all__, *modelbay.errors.__all__, *testing.__all__} - {"__version__"}
    assert exported - entries == set()
    assert [name for name in sync.__all__ if f"<code>{name}</code>" not in html(site, "reference/api.html")] == []


def test_blocks_that_are_run_by_the_tests_look_like_all_others(site: Path):
    for page in (site / "guides").rglob("*.html"):
        assert "console simulator" not in page.read_text(encoding="utf-8")
    assert "acme-gateway.toml</span>" in html(site, "guides/own-vendor.html")


def test_a_link_to_a_page_shows_its_title(site: Path):
    assert ">Add a vendor by name</a>" in html(site, "index.html").split("<article", 1)[1]
