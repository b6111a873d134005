"""`modelbay manifest`: build, check and serve a provider's manifest."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelbay import threads
from modelbay.cli import Noun, key_input, known_values, terminal, texts
from modelbay.cli.listening import cannot_listen
from modelbay.cli.terminal import FAILED, GlobalOptions, InputError, pass_settings
from modelbay.cli.texts import FilePath
from modelbay.config.load import load
from modelbay.json_text import unfenced
from modelbay.secrecy import masked_url
from modelbay.storage.paths import expanded

if TYPE_CHECKING:
    from modelbay.publishing.building import BuiltManifest
    from modelbay.publishing.inspection import ManifestReport

PORT = 8751
COLORS = {"error": "red", "warning": "yellow", "advice": "cyan"}


@click.group(cls=Noun)
def manifest() -> None:
    """Build, check and serve the manifest of a provider that you run."""


@manifest.command("build")
@click.argument("provider", required=False, shell_complete=known_values.providers)
@click.option(
    "--from", "url", type=texts.Url(), metavar="URL", help="URL of your model list, instead of a configured provider."
)
@click.option(
    "--all-models", is_flag=True, help="Publish all models that PROVIDER lists, not only those in config.toml."
)
@click.option("--name", metavar="NAME", help="Display name.")
@click.option("--website", type=texts.Url(), metavar="URL", help="URL of your website.")
@click.option(
    "--base-url", type=texts.Url(), metavar="URL", help="Base URL of your API, if it is not next to the list."
)
@click.option(
    "--api-key", "key", type=key_input.KEY, metavar="KEY", help=f"{key_input.HELP} Sent to the list of --from."
)
@click.option("--embedded", is_flag=True, help="Write one JSON array for users to paste.")
@click.option("--output", type=FilePath(), metavar="PATH", help="Output folder; with --embedded, output file.")
@pass_settings
def build_manifest(
    settings: GlobalOptions, /, provider: str | None, url: str | None, key: str | None, all_models: bool,
    embedded: bool, output: Path | None, **about: str | None,
) -> None:  # fmt: skip
    """Build a manifest and extended models from PROVIDER, or from a model list with --from.

    For PROVIDER, its models in config.toml are published; with --all-models, all models that it lists. --from publishes the
    whole list. Facts are taken from your list first, then from models.dev. Missing facts are left out and reported.
    """
    from modelbay.publishing.building import PublisherDetails, build_configured, build_listed

    if (provider is None) == (url is None):
        raise click.UsageError("name a provider, or pass a model list with --from", click.get_current_context())
    if provider is not None and key is not None:
        raise click.UsageError(
            "--api-key requires --from; a configured provider has its own key", click.get_current_context()
        )
    if output is None and not embedded:
        raise click.UsageError("pass --output FOLDER, or --embedded", click.get_current_context())
    with terminal.waiting("fetching the models"):
        if url is not None:
            built = threads.run(
                build_listed(
                    url, key_input.given_key(key), PublisherDetails(**about), network=load(settings.config).network
                )
            )
        else:
            built = threads.run(
                build_configured(
                    load(settings.config), provider or "", PublisherDetails(**about), all_models=all_models
                )
            )
    if embedded:
        _write_embedded(built.embedded(), output)
    elif output is not None:
        _write_files(built.files(), output)
    _report_built(built)


def _write_embedded(text: bytes, output: Path | None) -> None:
    if output is None:
        terminal.write_line(text.rstrip())
    else:
        _write_files({output.name: text}, output.parent)


def _write_files(files: dict[str, bytes], folder: Path) -> None:
    from modelbay.publishing.building import write

    try:
        for path in write(files, folder):
            terminal.write(f"wrote {path}\n")
    except OSError as error:
        raise InputError(f"{error.filename} cannot be written: {error.strerror}") from None


def _report_built(built: "BuiltManifest") -> None:
    from modelbay.catalog.summary import counted

    for text in built.notes:
        terminal.note(text)
    terminal.note(counted(len(built.models), "model") + ("; fields by source:" if built.sources else ""))
    for name, sources in built.sources.items():
        shown = ", ".join(f"{_source_name(source)} ({number})" for source, number in sources.most_common())
        terminal.note(f"  {name}: {shown}")
    for name, ids in built.missing().items():
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        terminal.note(f"no source for {name}: {', '.join(ids[:5])}{more}")


def _source_name(source: str) -> str:
    return {"models": "model list", "config": "config.toml"}.get(source, source)


@manifest.command("check")
@click.argument("what", metavar="URL|FILE|-")
@click.option(
    "--api-key",
    "key",
    type=key_input.KEY,
    metavar="KEY",
    help=f"{key_input.HELP} With it, a real call is made.",
)
@click.option("--model", type=texts.ModelName(), metavar="ID", help="Model ID to call; default: the first model.")
@click.option("--offline", is_flag=True, help="Check a file without network access.")
@click.option("--yes", is_flag=True, help="Send the key to the manifest's base URL, even at another host.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def check_manifest(
    settings: GlobalOptions, /, what: str, key: str | None, model: str | None, offline: bool, yes: bool, as_json: bool
) -> int:
    """Check a manifest at a URL, in a file, or in a folder that `build` wrote.

    Each finding has its location, the problem and a fix. The exit code is 1 if there is an error.
    """
    from modelbay.credentials.reference import resolve_reference
    from modelbay.publishing.inspection import ChatCheck, check_files, check_hosted, files_of

    key, config = key_input.given_key(key), load(settings.config)
    if key is not None:
        key = resolve_reference(key, config, ())
    call = ChatCheck(key, model, yes)
    if "://" in what:
        if offline:
            raise click.UsageError("--offline requires a file", click.get_current_context())
        with terminal.waiting(f"checking {masked_url(what)}", hidden=as_json):
            report = threads.run(check_hosted(what, call, config=config))
    else:
        try:
            content, models = (
                (unfenced(texts.piped_bytes("the manifest")), None) if what == "-" else files_of(expanded(what))
            )
        except OSError as error:
            unread = f"{error.filename or what} cannot be read: {error.strerror}"
            raise InputError(unread, hint="name a file that exists, or a URL that begins with https://") from None
        subject = "standard input" if what == "-" else what
        with terminal.waiting(f"checking {subject}", hidden=as_json or offline):
            report = threads.run(check_files(content, models, subject, call, offline=offline, config=config))
    _show_report(report, as_json=as_json)
    return FAILED if report.count("error") else 0


def _show_report(report: "ManifestReport", *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(report)
        return
    from modelbay.catalog.summary import counted
    from modelbay.cli.columns import write_rows

    write_rows(
        [(one.what, one.url, str(one.status or "-"), f"{one.seconds:.1f} s", one.about) for one in report.answers]
    )
    for one in report.findings:
        mark = terminal.styled(one.severity.ljust(7), sys.stdout, fg=COLORS[one.severity])
        terminal.write_marked(mark, f"{one} ({one.rule})")
        terminal.write(f"        {one.change}\n")
    errors, warnings, advice = (report.count(severity) for severity in ("error", "warning", "advice"))
    terminal.write(
        f"{report.subject}: {counted(errors, 'error')}, {counted(warnings, 'warning')}, {advice} advice\n"
        if report.findings
        else f"{report.subject}: no findings\n"
    )


@manifest.command("serve")
@click.argument("what", metavar="FILE|FOLDER", type=FilePath())
@click.option(
    "--port",
    metavar="PORT",
    default=PORT,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="TCP port; 0 uses a free one.",
)
@pass_settings
def serve_manifest(settings: GlobalOptions, /, what: Path, port: int) -> None:
    """Serve a manifest locally, with its extended models and the plain list.

    The URL is printed on standard output when the server is ready. Calls are forwarded to the manifest's own base URL. Press
    Ctrl-C to stop. Changes of the files are served at once. With --verbose, a line is printed for each request.
    """
    from modelbay.publishing.hosting import HostedManifest, serve
    from modelbay.publishing.inspection import files_of

    def ready(url: str, served: HostedManifest) -> None:
        terminal.announce(url)
        terminal.note(
            f"\nCalls are forwarded to {masked_url(served.base_url)} with the caller's key. Press Ctrl-C to stop. To try it:\n"
        )
        terminal.note(f'  modelbay manifest check "{url}"\n  modelbay provider manifest "{url}"')

    try:
        files_of(expanded(what))
    except OSError as error:
        raise InputError(f"{error.filename or what} cannot be read: {error.strerror}") from None
    try:
        serve(partial(files_of, expanded(what)), port, ready, load(settings.config))
    except OSError as error:
        raise cannot_listen("127.0.0.1", port, error, "the manifest's server") from None
