"""Suggestions for a command or option that does not exist, by similar spelling."""

import click

NEAR = {
    "app": "chat",
    "auth": "login",
    "complete": "ask",
    "connect": "provider add",
    "init": "provider add",
    "prompt": "ask",
    "query": "ask",
    "run": "ask",
    "settings": "config",
    "setup": "provider add",
    "signin": "login",
    "signout": "logout",
    "talk": "chat",
    "tui": "chat",
}
"""Commands of other programs, and the equivalent commands of modelbay."""
VERBS = {
    "create": "add",
    "del": "remove",
    "delete": "remove",
    "get": "show",
    "info": "show",
    "inspect": "show",
    "ls": "list",
    "new": "add",
    "remove": "delete",
    "rm": "remove",
    "update": "edit",
    "verify": "check",
}
"""Synonyms of sub-commands, for groups that have the sub-command."""
MOST = 3


def hint(wrong: click.UsageError) -> str | None:
    """The hint for a command or option that does not exist; None if no name is similar."""
    if wrong.ctx is None:
        return None
    if isinstance(wrong, click.exceptions.NoSuchCommand) and isinstance(wrong.ctx.command, click.Group):
        return _command(wrong.ctx, wrong.ctx.command, wrong.command_name)
    if isinstance(wrong, click.NoSuchOption):
        return _option(wrong.ctx, wrong.option_name)
    return None


def near(word: str, names: list[str]) -> list[str]:
    """The names with a similar spelling, the most similar first."""
    from rapidfuzz.distance import OSA

    wanted = _bare(word)
    if not wanted:
        return []
    found: list[tuple[int, str]] = []
    for name in names:
        other = _bare(name)
        distance = OSA.distance(wanted, other)
        if len(wanted) == 1 or len(other) == 1:
            close = wanted == other
        else:
            parts, others = set(wanted.split("-")), set(other.split("-"))
            close = (
                distance <= (1 if len(wanted) < 5 else 2)
                or wanted.rstrip("s") == other.rstrip("s")
                or (len(wanted) >= 3 and other.startswith(wanted))
                or (len(other) >= 3 and wanted.startswith(other))
                or parts <= others
            )
        if close:
            found.append((distance, name))
    return [name for _, name in sorted(found)[:MOST]]


def _bare(word: str) -> str:
    return word.strip("-").replace("_", "-").lower()


def _command(ctx: click.Context, group: click.Group, word: str) -> str | None:
    path, names = ctx.command_path, group.list_commands(ctx)
    root = ctx.parent is None
    if root and len(word.split()) > 1:
        return f'put the prompt after `ask`: `{path} ask "{" ".join(word.split())[:40]}"`'
    found = near(word, names)
    if not found and (verb := VERBS.get(word.lower())) in names:
        found = [str(verb)]
    if not found and root and word.lower() in NEAR:
        found = [NEAR[word.lower()]]
    if not found and root:
        found = [f"{name} {verb}" for name, verb in _inner(ctx, group, word.lower())][:MOST]
    return _did_you_mean([f"{path} {name}" for name in found])


def _inner(ctx: click.Context, group: click.Group, word: str) -> list[tuple[str, str]]:
    """The groups that have a sub-command of this name."""
    inner = [(name, group.get_command(ctx, name)) for name in group.list_commands(ctx)]
    verbs = (word, VERBS.get(word))
    return [
        (name, there)
        for name, command in inner
        if isinstance(command, click.Group)
        for there in command.list_commands(ctx)
        if there in verbs
    ]


def _option(ctx: click.Context, word: str) -> str | None:
    own = _options(ctx.command, ctx)
    if found := near(word, own):
        return _did_you_mean(found)
    # an option of a command may be written before the command
    if ctx.parent is None and isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            command = ctx.command.get_command(ctx, name)
            if command is not None and word in _options(command, ctx):
                return f"put the option after the command: `{ctx.command_path} {name} {word}`"
    return None


def _options(command: click.Command, ctx: click.Context) -> list[str]:
    return [name for param in command.get_params(ctx) if isinstance(param, click.Option) for name in param.opts]


def _did_you_mean(found: list[str]) -> str | None:
    return f"did you mean {' or '.join(f'`{name}`' for name in found)}?" if found else None
