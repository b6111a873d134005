"""`modelbay launch`: a coding agent with a model."""

import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from modelbay.cli import known_values, suggestions, terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.project import project_config
from modelbay.cli.terminal import CommandFailed, GlobalOptions, pass_settings
from modelbay.cli.texts import ModelName
from modelbay.project_pins import MODEL, SMALL_MODEL
from modelbay.storage.paths import STDIN

if TYPE_CHECKING:
    from pathlib import Path

    from modelbay.config.schema import Config
    from modelbay.launching.installed import InstalledAgent
    from modelbay.launching.launch import AgentLaunch
    from modelbay.launching.plan import LaunchTarget
    from modelbay.launching.program import AgentProgram


class _LaunchCommand(click.Command):
    """A command whose unknown options are probably those of the agent."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as wrong:
            wrong.hint = "put the agent's options after `--`"  # type: ignore[attr-defined]
            raise


@click.command(cls=_LaunchCommand)
@click.argument("agent", required=False, shell_complete=known_values.agents)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGS...]")
@click.option(
    "-m",
    "--model",
    type=ModelName(),
    metavar="MODEL",
    shell_complete=known_values.models,
    help="Alias, or PROVIDER/MODEL_ID. Default: the default model.",
)
@click.option(
    "--small",
    type=ModelName(),
    metavar="MODEL",
    shell_complete=known_values.models,
    help="Model for small tasks such as titles. Default: the same model.",
)
@click.option(
    "--gateway/--direct", default=None, help="Always use the gateway, or never. Default: only if it is needed."
)
@click.option("--list", "as_list", is_flag=True, help="List the agents, their versions and protocols, and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON. Only with --list.")
@pass_settings
def launch(
    settings: GlobalOptions,
    /,
    agent: str | None,
    arguments: tuple[str, ...],
    as_list: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Start the coding agent AGENT with a model of any provider. Its own files are not changed.

    ARGS are passed to the agent: `modelbay launch claude -m deepseek -- -p "Fix the tests"`. The exit code is the agent's.

    If the agent speaks the provider's protocol and needs nothing else, it calls the provider directly, with its API key. Otherwise
    it uses modelbay's gateway, which is started if it is not running, and ends after the last agent.
    """
    context = click.get_current_context()
    if as_list:
        _list(as_json)
        return 0
    if as_json:
        raise click.UsageError("--json requires --list", context)
    if agent is None:
        raise click.UsageError("missing AGENT; list the agents with --list", context)
    if settings.config == STDIN:
        raise click.UsageError("launch cannot be combined with --config -: the agent reads standard input", context)
    return _run(settings, _program(agent, context), arguments, options)


def _run(settings: GlobalOptions, program: "AgentProgram", arguments: tuple[str, ...], options: dict[str, Any]) -> int:
    from modelbay.config.load import load
    from modelbay.launching.launch import AgentLaunch
    from modelbay.launching.launch_target import GatewayReason, check_keys, chosen_models, direct_target
    from modelbay.launching.shared_gateway import GatewayStart

    executable = _executable(program)
    config = load(settings.config)
    names = _names(program, config, options["model"], options["small"])
    chosen = chosen_models(config, names.model, names.small)
    direct = None if options["gateway"] else direct_target(program, chosen, required=options["gateway"] is False)
    why = ""
    if isinstance(direct, GatewayReason):
        if options["gateway"] is False:
            raise direct.error(program)
        why, direct = direct.why, None
    if direct is None:
        check_keys(chosen)
    wanted = GatewayStart(config, settings.config, settings.approvals)
    made = AgentLaunch(program, executable, chosen, arguments, direct, wanted)
    code = made.run(lambda target: _started(made, target, why, names.project), terminal.warning)
    if terminal.is_terminal(sys.stdin) and arguments in ((), program.continues):
        _say_how_to_continue(program, options)
    return code


def _say_how_to_continue(program: "AgentProgram", options: dict[str, Any]) -> None:
    """Print the command that continues a session. Those that agents print at their end start them without modelbay, or with files
    of the launch that were removed."""
    if not program.continues:
        return
    ways = {None: (), True: ("--gateway",), False: ("--direct",)}
    words = [program.id, *ways[options["gateway"]]]
    for option, model in (("-m", options["model"]), ("--small", options["small"])):
        words += [option, model] if model else []
    command = shlex.join(["modelbay", "launch", *words, "--", *program.continues])
    terminal.note(f"to continue this session: {command}")


class _Names(NamedTuple):
    """The names of the models for an agent; None: the default model, and the same model for small tasks."""

    model: str | None
    small: str | None
    project: "Path | None" = None
    """The project's file that pins one of them."""


def _names(program: "AgentProgram", config: "Config", model: str | None, small: str | None) -> _Names:
    """The models of the command line, or else those that the project pins. If the command line names the model, the project's model
    for small tasks is not used: the user did not choose its provider."""
    if small and not program.names_small:
        terminal.warning(f"{program.title} has no setting for a model for small tasks; --small is ignored")
        small = None
    pins = None if model else project_config(config).pins
    if pins is None:
        return _Names(model, small)
    main, minor = pins.of(MODEL, program.id), None if small else pins.of(SMALL_MODEL, program.id)
    if minor and not program.names_small:
        if minor.keys != (SMALL_MODEL,):  # for this agent, not for all that have the setting
            terminal.warning(
                f"{program.title} has no setting for a model for small tasks; {pins.place(minor)} is ignored"
            )
        minor = None
    used = [pin for pin in (main, minor) if pin is not None]
    for pin in used:
        pins.entry(pin, config)
    return _Names(main.model if main else None, minor.model if minor else small, pins.path if used else None)


def _started(made: "AgentLaunch", target: "LaunchTarget", why: str, project: "Path | None") -> None:
    where = "through the gateway" if target.through_gateway else f"directly at {made.chosen.main.entry.provider}"
    terminal.note(f"{made.program.title} with {made.chosen.main.entry.alias}, {where}{f': {why}' if why else ''}")
    if project is not None:
        terminal.note(f"model pinned by {project}")
    _warn_of_effort(made.program, target.model.effort)
    for note in made.program.notes:
        terminal.note(note)
    if made.program.names_context and target.model.context is None:
        terminal.warning(
            f"the context window of {made.chosen.main.entry.alias} is unknown, so {made.program.title} assumes its own:"
            " set `max_context_size` of the model in config.toml"
        )


def _warn_of_effort(program: "AgentProgram", effort: str | None) -> None:
    """Report that an agent does not have the reasoning effort that the user set."""
    from modelbay.protocols.efforts import OFF

    if effort is None or not program.names_effort:
        return
    told = program.effort(effort)
    if told is None and effort.lower() in OFF:
        terminal.warning(f"{program.title} has no setting that turns thinking off; it uses its own reasoning effort")
    elif told not in (None, effort.lower(), program.off_effort):
        terminal.warning(f"{program.title} does not have the reasoning effort {effort}; it uses {told}")


def _program(agent: str, context: click.Context) -> "AgentProgram":
    from modelbay.launching.program import programs

    rows = programs()
    if agent in rows:
        return rows[agent]
    wrong = click.UsageError(f'unknown agent "{agent}"', context)
    near = [row.id for row in rows.values() if row.command == agent] or suggestions.near(agent, list(rows))
    wrong.hint = f"did you mean {' or '.join(near)}?" if near else f"must be one of: {', '.join(rows)}"  # type: ignore[attr-defined]
    raise wrong


def _executable(program: "AgentProgram") -> str:
    if (path := shutil.which(program.command)) is None:
        raise CommandFailed(
            f"{program.title} is not installed: no program {program.command} on the PATH",
            hint=f"install the package {program.package}: `{program.install}`",
        )
    return path


def _list(as_json: bool) -> None:
    from modelbay.launching.installed import installed_agents
    from modelbay.launching.program import programs

    found = installed_agents(programs().values())
    if as_json:
        terminal.write_json([_described(one) for one in found])
    else:
        write_rows([_row(one) for one in found])


def _described(one: "InstalledAgent") -> dict[str, Any]:
    row = one.program
    return {
        "agent": row.id,
        "title": row.title,
        "installed": one.path is not None,
        "path": one.path,
        "version": one.version,
        "verified_version": row.verified or None,
        "protocols": row.protocols,
        "package": row.package,
        "install": row.install,
    }


def _row(one: "InstalledAgent") -> tuple[str, ...]:
    from modelbay.onboarding.fields import APIS

    row = one.program
    tested = f"tested with {row.verified}" if row.verified else "unverified"
    version = "not installed" if one.path is None else one.version or "unknown version"
    where = one.path or f"install: {row.install}"
    return row.id, version, tested, ", ".join(APIS[protocol] for protocol in row.protocols), where
