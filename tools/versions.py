"""Builds the documentation as a site with a folder per version: `make site`, or `make site ARGS="v0.1.0 v0.2.0"`.

Versions that the site already has are kept. `versions.js` lists all versions and their pages. Each page loads that file, so that
old pages know new versions (tools/version_selector.js).

mike, which is made for this, is not used: it commits sites to a branch, and its list is JSON, which browsers do not load from a
folder of files.
"""

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

SITE = Path(__file__).resolve().parent.parent / "build" / "site"
START = "index.html"


class Failed(Exception):
    """A version was not built."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.versions", description="Build the documentation as a site.")
    parser.add_argument(
        "sources",
        nargs="*",
        default=["."],
        metavar="SOURCE",
        help="Folder of a checkout, or git revision such as v0.1.0. Default: the current folder.",
    )
    parser.add_argument("--into", type=Path, default=SITE, metavar="FOLDER", help="Folder of the site.")
    options = parser.parse_args()
    site: Path = options.into.resolve()
    site.mkdir(parents=True, exist_ok=True)
    try:
        for source in options.sources:
            with _checkout(source) as checkout:
                _build(checkout, site)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        _list(site)
    print(site / START)
    return 0


@contextmanager
def _checkout(source: str) -> Iterator[Path]:
    """The folder that a source is, or the files of a revision."""
    if Path(source).is_dir():
        yield Path(source).resolve()
        return
    packed = subprocess.run(["git", "archive", "--format=tar", source], capture_output=True, check=False)
    if packed.returncode:
        raise Failed(f"{source}: not a folder or git revision: {packed.stderr.decode().strip()}")
    with _temporary(Path.cwd() / "build" / ".checkout") as folder:
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as files:
            files.extractall(folder, filter="data")
        yield folder


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """An empty folder. Its fixed name lets the next run remove what a killed one left."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _build(checkout: Path, site: Path) -> None:
    """Build a version, by the configuration and code of its checkout. It replaces the one in the site only if all went well."""
    try:
        project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except FileNotFoundError as error:
        raise Failed(f"{checkout}: not a checkout: {error}") from None
    version = ".".join(project["version"].split(".")[:2])
    with _temporary(site / ".building") as folder:
        built = subprocess.run(
            # not --quiet: mkdocs then counts no warnings, so it is not strict
            [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder / version],
            cwd=checkout,
            env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(checkout / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if built.returncode:
            raise Failed(built.stdout.strip())
        if (site / version).exists():
            (site / version).rename(folder / "before")
        (folder / version).rename(site / version)


def _list(site: Path) -> None:
    """Write the list of versions, and the start page, which leads to the newest."""
    names = (path.parent.name for path in site.glob(f"*/{START}"))
    versions = sorted((name for name in names if re.fullmatch(r"\d+\.\d+", name)), key=_number, reverse=True)
    if not versions:
        return
    listed = [{"version": version, "pages": _pages(site / version)} for version in versions]
    _write(site / "versions.js", f"const modelbayVersions = {msgspec.json.encode(listed).decode()};\n")
    links = "".join(f'<li><a href="{version}/{START}">{version}</a>\n' for version in versions)
    _write(
        site / START,
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>modelbay</title>\n'
        f'<meta http-equiv="refresh" content="0; url={versions[0]}/{START}">\n'
        f"<p>Documentation of modelbay, by version:\n<ul>\n{links}</ul>\n",
    )


def _pages(folder: Path) -> list[str]:
    return sorted(page.relative_to(folder).as_posix() for page in folder.rglob("*.html"))


def _number(version: str) -> list[int]:
    return [*map(int, version.split("."))]


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
