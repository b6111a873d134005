"""`modelbay client`: keys of the programs that may call the gateway."""

from datetime import datetime

import click

from modelbay.cli import Noun, known_values, terminal
from modelbay.cli.columns import write_rows
from modelbay.cli.key_input import Invalid, read_key
from modelbay.gateway.clients import ClientKeys


@click.group(cls=Noun)
def client() -> None:
    """Create, list and remove keys of the gateway's clients."""


@client.command("add")
@click.argument("name")
@click.option("--key", metavar="-", help="Use an existing key, read at a hidden prompt or from standard input.")
def add_client(name: str, key: str | None) -> None:
    """Add a client called NAME, and print its key.

    The key is printed only once: modelbay stores only its SHA-256. With --key -, the client keeps a key of another gateway, of at
    least 20 characters.
    """
    if key not in (None, "-"):
        raise Invalid(["--key: only - is allowed"], "a key in an argument is visible to other programs; pipe it in")
    made = ClientKeys().add(name, read_key("--key", f"Key for {name}") if key else None)
    if key:
        terminal.write(f"Added {name} with its existing key\n")
    else:
        try:
            terminal.write_whole(f"Added {name} with the key {made}\n")
        except (terminal.ReaderGone, terminal.CommandFailed):
            ClientKeys().remove(name)  # its key was not printed, and is not stored
            raise
        terminal.note("The key is shown only now: copy it.")


@client.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_clients(as_json: bool) -> None:
    """List the clients, with the first characters of the key, the date of creation and the last request of each."""
    keys = ClientKeys()
    clients = keys.all()
    if as_json:
        fields = [
            {"name": one.name, "begins": one.begins, "created": one.created, "last_used": keys.last_use(one)}
            for one in clients
        ]
        terminal.write_json(fields)
    elif clients:
        rows = [
            (one.name, f"{one.begins}…", f"created {_shown(one.created)}", f"last used {_shown(keys.last_use(one))}")
            for one in clients
        ]
        write_rows(rows)
    else:
        terminal.note("No clients; add one with `modelbay client add NAME`")


@client.command("remove")
@click.argument("name", shell_complete=known_values.clients)
def remove_client(name: str) -> None:
    """Remove the client NAME. The gateway refuses its key from the next request on."""
    ClientKeys().remove(name)
    terminal.write(f"Removed {name}\n")


def _shown(when: datetime | None) -> str:
    return when.astimezone().strftime("%Y-%m-%d %H:%M") if when else "never"
