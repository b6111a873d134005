"""`modelbay provider`: its commands are in modules of their own, imported on use."""

from importlib import import_module

import click

from modelbay.cli import Noun

COMMANDS = {
    "add": ("provider_add", "Add a provider by vendor name, URL or file."),
    "custom": ("provider_add", "Add a provider by its fields."),
    "manifest": ("provider_add", "Add the provider of a manifest."),
    "catalog": ("provider_catalog", "Add a provider of the catalog of models.dev."),
    "models": ("provider_add", "List the models of a vendor, a URL or a provider."),
    "edit": ("provider_edit", "Edit a provider's key, URL, headers or models."),
    "rename": ("provider_edit", "Rename a provider."),
    "copy": ("provider_edit", "Copy a provider with its models and keys."),
    "remove": ("provider_remove", "Remove a provider and its models."),
    "refresh": ("provider_refresh", "Update providers from their sources."),
    "list": ("provider_show", "List the providers."),
    "show": ("provider_show", "Show a provider."),
    "test": ("provider_test", "Test a provider with small real calls."),
    "detect": ("provider_test", "Find model servers on this machine."),
}
"""The module of each command and its line in `--help`."""


class ProviderGroup(Noun):
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


@click.group(cls=ProviderGroup)
def provider() -> None:
    """Add, edit, show and test providers."""
