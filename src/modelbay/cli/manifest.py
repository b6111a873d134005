"""`modelbay manifest`: for providers, who publish a manifest."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelbay import threads
from modelbay.cli import Noun, key_input, terminal, texts
from modelbay.cli.terminal import FAILED, CommandFailed, Settings, Unreadable, pass_settings
from modelbay.config.load import load
from modelbay.json_text import unfenced
from modelbay.secrecy import masked_url
from modelbay.storage.paths import expanded

if TYPE_CHECKING:
    from modelbay.publishing.building import Built
    from modelbay.publishing.inspection import Report

PORT = 8751
COLOURS = {"error": "red", "warning": "yellow", "advice": "cyan"}


@click.group(cls=Noun)
def manifest() -> None:
    """For providers: write the manifest that applications set you up by, check it, try it out."""


@manifest.command("build")
@click.argument("provider", required=False)
@click.option("--from", "url", metavar="URL", help="Your list of models, instead of a configured provider.")
@click.option("--all-models", is_flag=True, help="Every model that PROVIDER lists, not only those in config.toml.")
@click.option("--name", metavar="NAME", help="What you are called.")
@click.option("--website", metavar="URL", help="Your main site.")
@click.option("--base-url", metavar="URL", help="Where calls go, if not beside the list.")
@click.option("--api-key", "key", metavar="KEY", help=f"For the list with --from. {key_input.HELP}")
@click.option("--embedded", is_flag=True, help="Write one array, for people to paste.")
@click.option(
    "--output", type=click.Path(path_type=Path), metavar="PATH", help="The folder, or with --embedded the file."
)
@pass_settings
def build_manifest(
    settings: Settings, /, provider: str | None, url: str | None, key: str | None, all_models: bool,
    embedded: bool, output: Path | None, **about: str | None,
) -> None:  # fmt: skip
    """Write a manifest and extended models: of PROVIDER, or of any list of models.

    PROVIDER publishes the models that config.toml has of it, with --all-models all that it lists; --from publishes the whole list.
    What your list says of a model goes first, then what models.dev says. What nobody says is left out, and reported.
    """
    from modelbay.publishing.building import About, build_configured, build_listed

    if (provider is None) == (url is None):
        raise click.UsageError("name a provider, or a list with --from", click.get_current_context())
    if provider is not None and key is not None:
        raise click.UsageError("--api-key is for --from; a provider has its own", click.get_current_context())
    if output is None and not embedded:
        raise click.UsageError("say where to: --output FOLDER, or --embedded", click.get_current_context())
    with terminal.waiting("asking for the models"):
        if url is not None:
            built = threads.run(
                build_listed(url, key_input.given_key(key), About(**about), network=load(settings.config).network)
            )
        else:
            built = threads.run(
                build_configured(load(settings.config), provider or "", About(**about), whole=all_models)
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
        raise Unreadable(f"{error.filename} cannot be written: {error.strerror}") from None


def _report_built(built: "Built") -> None:
    from modelbay.catalog.summary import counted

    for text in built.notes:
        terminal.note(text)
    terminal.note(f"{counted(len(built.models), 'model')}; who says what of them:")
    for name, sources in built.sources.items():
        said = ", ".join(f"{_whose(source)} of {number}" for source, number in sources.most_common())
        terminal.note(f"  {name}: {said}")
    for name, ids in built.lacking().items():
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        terminal.note(f"nobody says {name} of {', '.join(ids[:5])}{more}")


def _whose(source: str) -> str:
    return {"models": "the list", "config": "config.toml"}.get(source, source)


@manifest.command("check")
@click.argument("what", metavar="URL|FILE|-")
@click.option(
    "--api-key",
    "key",
    metavar="KEY",
    help=f"Make a real call with it. {key_input.HELP}",
)
@click.option("--model", metavar="ID", help="The model to call; else the first.")
@click.option("--offline", is_flag=True, help="Only read a file, and ask nobody.")
@click.option("--yes", is_flag=True, help="The key may go to the manifest's base URL, wherever that is.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def check_manifest(
    settings: Settings, /, what: str, key: str | None, model: str | None, offline: bool, yes: bool, as_json: bool
) -> int:
    """Check a manifest as applications will read it: at its address, or in a file or folder that `build` wrote.

    Each finding says where, what, and what to change. The exit code is 1 where one is an error.
    """
    from modelbay.credentials.reference import resolve_reference
    from modelbay.publishing.inspection import Call, check_files, check_hosted, files_of

    key, config = key_input.given_key(key), load(settings.config)
    if key is not None:
        key = resolve_reference(key, config, ())
    call = Call(key, model, yes)
    if "://" in what:
        if offline:
            raise click.UsageError("--offline is for files", click.get_current_context())
        with terminal.waiting(f"asking {masked_url(what)}", hidden=as_json):
            report = threads.run(check_hosted(what, call, config=config))
    else:
        try:
            content, models = (
                (unfenced(texts.piped_bytes("the manifest")), None) if what == "-" else files_of(expanded(what))
            )
        except OSError as error:
            raise Unreadable(f"{what} cannot be read: {error.strerror}") from None
        subject = "standard input" if what == "-" else what
        with terminal.waiting(f"checking {subject}", hidden=as_json or offline):
            report = threads.run(check_files(content, models, subject, call, offline=offline, config=config))
    _show_report(report, as_json=as_json)
    return FAILED if report.count("error") else 0


def _show_report(report: "Report", *, as_json: bool) -> None:
    if as_json:
        terminal.write_json(report)
        return
    from modelbay.catalog.summary import counted
    from modelbay.cli.columns import write_rows

    write_rows(
        [(one.what, one.url, str(one.status or "-"), f"{one.seconds:.1f} s", one.about) for one in report.answers]
    )
    for one in report.findings:
        mark = terminal.styled(one.severity.ljust(7), sys.stdout, fg=COLOURS[one.severity])
        terminal.write_marked(mark, f"{one} ({one.rule})")
        terminal.write(f"        {one.change}\n")
    errors, warnings, advice = (report.count(severity) for severity in ("error", "warning", "advice"))
    terminal.write(
        f"{report.subject}: {counted(errors, 'error')}, {counted(warnings, 'warning')}, {advice} to consider\n"
        if report.findings
        else f"{report.subject}: nothing to change\n"
    )


@manifest.command("serve")
@click.argument("what", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option("--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free one.")
@pass_settings
def serve_manifest(settings: Settings, /, what: Path, port: int) -> None:
    """Host a manifest on this machine for a trial, with its extended models and the plain list.

    Its address is printed on stdout once it takes requests. Calls go on to the manifest's own base URL. Ctrl-C ends it.
    """
    from modelbay.publishing.inspection import files_of
    from modelbay.publishing.serving import Hosted, serve

    def ready(url: str, served: Hosted) -> None:
        terminal.write(f"{url}\n")
        terminal.note(
            f"\nCalls go on to {masked_url(served.real)}, with the caller's key. To try it; Ctrl-C ends it.\n"
        )
        terminal.note(f'  modelbay manifest check "{url}"\n  modelbay provider manifest "{url}"')

    try:
        content, models = files_of(expanded(what))
    except OSError as error:
        raise Unreadable(f"{what} cannot be read: {error.strerror}") from None
    try:
        serve(content, models, port, ready, load(settings.config))
    except OSError as error:
        hint = "--port 0 takes any free port" if port else None
        raise CommandFailed(f"cannot listen at port {port}: {error.strerror or error}", hint=hint) from None
