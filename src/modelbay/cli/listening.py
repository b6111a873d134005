"""Errors of the commands that listen on a port."""

import errno
import socket

from modelbay.cli.terminal import CommandFailed

_HINTS = {
    errno.EACCES: "ports below 1024 are reserved: pass another one with --port N",
    errno.EADDRNOTAVAIL: "pass an address of this machine with --host, such as 127.0.0.1",
}


def cannot_listen(host: str, port: int, error: OSError, server: str) -> CommandFailed:
    """The error of a `server`, such as "the gateway", that cannot listen on its port."""
    # a name that cannot be resolved has a number of its own
    hint = _HINTS.get(errno.EADDRNOTAVAIL if isinstance(error, socket.gaierror) else error.errno or 0)
    if error.errno == errno.EADDRINUSE:
        hint = f"stop the program that uses this port, which may be {server} itself, or pass another one with --port N"
    return CommandFailed(f"cannot listen on {host}:{port}: {error.strerror or error}", hint=hint)
