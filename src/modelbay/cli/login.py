"""`modelbay login`."""

import asyncio
import sys
from datetime import datetime
from typing import Any

import click
import msgspec

from modelbay.catalog.summary import counted
from modelbay.cli import terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.picker import asks
from modelbay.cli.terminal import Settings, pass_settings
from modelbay.config.load import load
from modelbay.config.paths import environment
from modelbay.config.schema import Config
from modelbay.credentials.oauth import Code
from modelbay.credentials.redaction import redact
from modelbay.onboarding import login as logging_in
from modelbay.providers import logins, presets


@click.command()
@click.argument("name", required=False, metavar="[PLATFORM|PROVIDER]")
@click.option("--status", is_flag=True, help="Say who is logged in where, and until when.")
@click.option("--json", "as_json", is_flag=True, help="With --status: print JSON.")
@click.option("--oauth-host", metavar="URL", help="Another host to log in at.")
@click.option("--base-url", metavar="URL", help="Another address of its API.")
@click.option("--no-browser", is_flag=True, help="Only show the code and where to enter it.")
@pass_settings
def login(settings: Settings, /, name: str | None, status: bool, as_json: bool, **options: Any) -> None:
    """Log in to a platform, or to a provider of config.toml that has an oauth table.

    A code and an address are shown on stderr; the command waits until somebody has approved it there.
    """
    config = load(settings.config)
    if status:
        show_status(config, as_json)
        return
    way = _way(name)
    if way is not None and way.by == "key":
        _by_key(settings, way)
    elif way is not None and way.by == "adc":
        _by_google(config)
    else:
        _by_device(config, way.id if way else str(name), options)


def show_status(config: Config, as_json: bool) -> None:
    found = logging_in.status(config)
    if as_json:
        terminal.write_line(msgspec.json.encode({"logins": found}))
    elif not found:
        terminal.note("Nobody is logged in anywhere; log in with `modelbay login`")
    else:
        write_rows([[one.provider, one.state, f"until {_time(one.until)}" if one.until else ""] for one in found])


def _way(name: str | None) -> presets.Login | None:
    """The vendor's login of that name, asked for where there is none; None: it is a provider of the file."""
    if name is not None:
        return logins.by_id(name)
    known = [way for _, way in presets.logins()]
    if not asks():
        words = ", ".join(way.id for way in known)
        raise click.UsageError(f"name a platform: {words}", click.get_current_context())
    for number, way in enumerate(known, 1):
        terminal.note(f"{number:3}  {way.title}")
    return known[click.prompt("Select a platform", type=click.IntRange(1, len(known)), default=1, err=True) - 1]


def _by_device(config: Config, name: str, options: dict[str, Any]) -> None:
    to = logging_in.target(config, name, host=options["oauth_host"], base_url=options["base_url"])

    def show(code: Code) -> None:
        page = code.uri_complete or code.uri
        terminal.note(f"Open {page}\nand approve the code {code.user_code}; waiting …")
        if not options["no_browser"] and _has_browser():
            import webbrowser

            webbrowser.open(page)

    new, written = asyncio.run(logging_in.log_in(config, to, show))
    terminal.write(f"{'Logged in' if new else 'Already logged in'} to {to.entry.id}\n")
    if written:
        terminal.write(f"{counted(len(written.models), 'model')}: {', '.join(written.models)}\n")
        if written.removed:
            terminal.write(f"No longer offered: {', '.join(written.removed)}\n")
        terminal.write(f"Default model: {written.default_model}\n")


def _has_browser() -> bool:
    """Whether a browser would open where the person is who runs this: not at the other end of ssh, not in a script."""
    if not terminal.is_terminal(sys.stderr) or environment("SSH_CONNECTION") or environment("SSH_TTY"):
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(environment("DISPLAY") or environment("WAYLAND_DISPLAY"))


def _by_key(settings: Settings, way: presets.Login) -> None:
    """A platform whose login is a key is a provider like any other."""
    from modelbay.cli.provider_add import add_provider

    terminal.note(f"{way.title}; keys are at {way.key_url}")
    add_provider.main([str(way.base_url), "--id", way.provider], standalone_mode=False, obj=settings)


def _by_google(config: Config) -> None:
    from modelbay.credentials import google
    from modelbay.credentials.credential import LOCATION, PROJECT

    found = google.described()
    places = [
        (entry.env.get(PROJECT, ""), entry.env.get(LOCATION, "")) for entry in config.providers.values() if entry.env
    ]
    project, location = next((place for place in places if any(place)), (found.project or "", ""))
    write_rows(
        [
            ["credential", found.kind],
            ["where", found.where],
            ["account", redact(found.account or "?")],
            ["project", project or f"unknown: name it as {PROJECT} in the provider's env table"],
            ["location", location or f"unknown: name it as {LOCATION} in the provider's env table, as global"],
        ]
    )
    if not any(all(place) for place in places):
        terminal.note(f"Next: modelbay provider add vertexai --project {project or 'PROJECT'} --location global")


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
