"""`modelbay login`."""

import sys
from datetime import datetime
from typing import Any

import click

from modelbay import threads
from modelbay.catalog.summary import counted
from modelbay.cli import key_input, known_values, terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.prompts import asks, pick_one
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.cli.texts import Url
from modelbay.config.load import load
from modelbay.config.schema import Config
from modelbay.credentials.credential import LOCATION, PROJECT
from modelbay.credentials.oauth import Code
from modelbay.onboarding.login import device as logging_in
from modelbay.providers import logins
from modelbay.providers.vendor import LoginMethod
from modelbay.secrecy import redact
from modelbay.storage.paths import environment

ONLY_FOR = {
    "oauth_host": ("device",),
    "base_url": ("device", "key"),
    "store": ("device",),
    "no_browser": ("device",),
    "api_key": ("key",),
}
"""The kinds of login that support an option."""


@click.command()
@click.argument("name", required=False, metavar="[PLATFORM|PROVIDER]", shell_complete=known_values.logins)
@click.option("--status", is_flag=True, help="List the logins, with their state and the expiry of their tokens.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON. Only with --status.")
@click.option("--oauth-host", type=Url(), metavar="URL", help="URL of the login server, instead of the platform's.")
@click.option("--base-url", type=Url(), metavar="URL", help="Base URL of the API, instead of the platform's.")
@click.option("--keyring", "store", flag_value="keyring", help="Store the tokens in the system keyring.")
@click.option("--file", "store", flag_value="file", help="Store the tokens in a file that only you can read (default).")
@click.option("--api-key", type=key_input.KEY, metavar="KEY", help=key_input.HELP)
@click.option("--no-browser", is_flag=True, help="Do not open a browser; only print the code and the URL.")
@pass_settings
def login(settings: GlobalOptions, /, name: str | None, status: bool, as_json: bool, **options: Any) -> None:
    """Log in to a platform, or to a provider with an oauth table in config.toml.

    The command prints a code and a URL to stderr and waits until you approve the code there. For a platform that uses an
    API key, it asks for the key. For Vertex AI, it checks Google's default credentials.
    """
    if as_json and not status:
        raise click.UsageError("--json requires --status", click.get_current_context())
    config = load(settings.config, new=not status)
    if status:
        show_status(config, as_json)
        return
    name = name or _asked(config)
    way = logins.by_id(name)
    by = way.by if way else "device"
    for option, kinds in ONLY_FOR.items():
        if options[option] and by not in kinds:
            word = options["store"] if option == "store" else option.replace("_", "-")
            raise click.UsageError(f"--{word} is not supported by the login to {name}", click.get_current_context())
    if way is not None and by == "key":
        _by_key(config, way, options["api_key"], options["base_url"])
    elif by == "adc":
        _by_google(config)
    else:
        _by_device(config, name, options)


def show_status(config: Config, as_json: bool) -> None:
    found = logging_in.status(config)
    if as_json:
        terminal.write_json({"logins": found})
    elif not found:
        terminal.note("You are not logged in to any platform; to log in, run `modelbay login`")
    else:
        write_rows([[one.provider, one.state, f"until {time_text(one.until)}" if one.until else ""] for one in found])


def _asked(config: Config) -> str:
    """Prompts for a platform or provider."""
    return pick_one("Select a platform", {one.id: one.title for one in logging_in.platforms(config)})


def _by_device(config: Config, name: str, options: dict[str, Any]) -> None:
    to = logging_in.target(
        config, name, host=options["oauth_host"], base_url=options["base_url"], storage=options["store"]
    )

    opens = not options["no_browser"] and _has_browser()

    def show(code: Code) -> None:
        nonlocal opens
        page = code.uri_complete or code.uri
        terminal.note(f"Open {page}\nand approve the code {code.user_code}. Waiting …", urls=True)
        if opens:
            import webbrowser

            webbrowser.open(page)
            opens = False  # a new code follows when one expires: open the browser only once

    done = threads.run(logging_in.log_in(config, to, show))
    if done.new:
        terminal.write(f"Logged in to {to.entry.id}\n")
    else:
        also = "; its models were refreshed" if done.written else ""
        terminal.write(f"Already logged in to {to.entry.id}{also}\n")
    if done.written:
        _say_models(done.written.models)
        if done.written.removed:
            terminal.write(f"Removed (no longer listed): {', '.join(done.written.removed)}\n")
        terminal.write(f"Default model: {done.written.default_model}\n")


def _say_models(aliases: list[str]) -> None:
    terminal.write(f"{counted(len(aliases), 'model')}: {', '.join(aliases)}\n")


def _has_browser() -> bool:
    """Whether a browser can open on the user's screen: not over SSH and not in a script."""
    if not terminal.is_terminal(sys.stderr) or environment("SSH_CONNECTION") or environment("SSH_TTY"):
        return False
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(environment("DISPLAY") or environment("WAYLAND_DISPLAY"))


def _by_key(config: Config, way: LoginMethod, key: str | None, base_url: str | None) -> None:
    from modelbay.cli import adding
    from modelbay.cli.key_input import Invalid, asked_key, given_key
    from modelbay.draft import model_tables
    from modelbay.onboarding.choose_models import marked_at_first
    from modelbay.onboarding.login import key as key_login

    key = given_key(key)
    if not key:
        if not asks():
            raise Invalid(
                [f"--api-key: {way.title} requires an API key"],
                f"pass --api-key KEY, or --api-key - to read it from standard input; get an API key at {way.key_url}",
            )
        key = asked_key(way.title, way.key_url, needed=True)
    with terminal.waiting(f"Listing the models of {way.title}"):
        detected = threads.run(key_login.try_key(config, way, key, base_url))
    ids = adding.chosen(detected.models, marked_at_first(detected.models), detected.source, adding.Prompting())
    tables = model_tables(config, way.provider, [(id, None) for id in ids])
    edited = key_login.write(config, detected, tables)
    put, default = edited.result
    terminal.write(f"Logged in to {put.provider}\n")
    _say_models(list(tables))
    terminal.write(f"Default model: {default}\n")
    terminal.write("".join(f"{note}\n" for note in edited.notes))


def _by_google(config: Config) -> None:
    with terminal.waiting("Requesting a token from Google"):
        found = threads.run(logging_in.check_google(config))
    write_rows(
        [
            ["credential", found.kind],
            ["source", found.where],
            ["account", redact(found.account or "unknown")],
            ["project", found.project or f"unknown: set {PROJECT} in the provider's env table"],
            [
                "location",
                found.location or f"unknown: set {LOCATION} in the provider's env table, for example to global",
            ],
            ["token", "received from Google"],
        ]
    )
    if found.provider is None:
        terminal.note(f"Next: modelbay provider add vertexai --project {found.project or 'PROJECT'} --location global")


def time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
