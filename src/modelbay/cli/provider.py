"""`modelbay provider`: its commands are modules of their own, imported when they are asked for."""

from importlib import import_module

import click

from modelbay.cli import Noun

COMMANDS = {
    "add": ("provider_add", "Add a provider: a vendor's name, an address, a file."),
    "catalog": ("provider_catalog", "Add a provider that models.dev knows, with all its models."),
    "custom": ("provider_custom", "Add a provider by filling in its fields."),
    "manifest": ("provider_manifest", "Add a provider by its own manifest, hosted or pasted."),
    "edit": ("provider_custom", "Change a provider, or which models it has."),
    "refresh": ("provider_refresh", "Ask again where providers came from, and write what is new."),
    "remove": ("provider_remove", "Remove a provider with its models."),
    "list": ("provider_show", "List the providers."),
    "show": ("provider_show", "Show all about one."),
    "test": ("provider_test", "Try one out with small real calls."),
    "detect": ("provider_test", "Find the model servers on this machine."),
}
"""Each one's module and its line in `--help`."""


class Commands(Noun):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            module = import_module(f"modelbay.cli.{COMMANDS[cmd_name][0]}")
            self.add_command(getattr(module, f"{cmd_name}_provider"), cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(cls=Commands)
def provider() -> None:
    """Connect providers: add, change, look at, try out."""
