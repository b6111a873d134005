"""The site of the documentation, built as `make site` builds it: any broken link or reference is an error."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import modelbay
from tests.pages import DOCS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stdout, built.stderr) == (0, "", "")
    return folder


def html(site: Path, page: str) -> str:
    return (site / page).read_text(encoding="utf-8")


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path):
    index = html(site, "index.html").split("<article")[0]
    for page in DOCS:
        name = page.relative_to(ROOT / "docs").with_suffix(".html").as_posix().replace("README", "index")
        assert (site / name).exists()
        assert f'href="{name}"' in index or name == "index.html", f"{name} is not in docs/README.md"


def test_the_site_loads_nothing_from_other_hosts(site: Path):
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert (
            re.findall(r"""<(?:script|img|link|iframe|source)[^>]+(?:src|href)=["']?(?:https?:)?//[^"' >]+""", text)
            == []
        )
    for style in site.rglob("*.css"):
        assert re.findall(r"url\(['\"]?(?:https?:)?//", style.read_text(encoding="utf-8")) == []


def test_every_exported_name_is_in_the_reference_of_the_python_library(site: Path):
    page = html(site, "reference/api.html")
    missing = [
        name for name in modelbay.__all__ if not name.startswith("_") and f">{name}<" not in page.replace("&nbsp;", "")
    ]
    assert missing == []


def test_blocks_that_are_run_by_the_tests_look_like_all_others(site: Path):
    for page in (site / "guides").rglob("*.html"):
        assert "console simulator" not in page.read_text(encoding="utf-8")
    assert "acme-gateway.toml</span>" in html(site, "guides/own-vendor.html")


def test_a_link_to_a_page_shows_its_title(site: Path):
    assert ">Add a vendor by name</a>" in html(site, "index.html").split("<article", 1)[1]
