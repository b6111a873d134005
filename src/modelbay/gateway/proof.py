"""Proves to another program of the same user that a process is the user's gateway, before that program sends a key to it.

`modelbay launch` looks for a running gateway, whose old port another program may use by now. So the launcher sends a random text,
and the gateway answers with its HMAC. The key of the HMAC is the key of the client `local`, which only the user can read and which
is not sent. The HMAC includes the port, so that a program cannot pass on the answer of a gateway at another port. It also includes
the state of the gateway: a launcher with another version, configuration or key does not use it.
"""

import hmac
import json
import re
from hashlib import sha256

from modelbay import __version__
from modelbay.config.schema import Config
from modelbay.gateway.clients import ClientKeys
from modelbay.gateway.variables import shell_variables
from modelbay.storage import files
from modelbay.storage.paths import environment

PATH = "/proof"
CHALLENGE = re.compile(r"[0-9a-f]{64}")
"""A random text that is used once."""


def proof(key: str, challenge: str, port: int, state: str) -> str:
    """The answer to a challenge, in hexadecimal digits."""
    text = "\n".join(("modelbay gateway", challenge, str(port), state))
    return hmac.new(key.encode(), text.encode(), sha256).hexdigest()


def state_of(config: Config) -> str:
    """The version, the configuration and the variables that it refers to, as one text. It may contain secrets."""
    variables = {name: environment(name) for name in sorted(shell_variables(config))}
    return json.dumps([__version__, str(config.path.absolute()), config.digest, variables])


def proof_of(clients: ClientKeys, config: Config, challenge: str, port: int) -> str | None:
    """The answer of this process; None if the challenge is not valid, or there is no key.

    Raises:
        ConfigError: the file with the key cannot be read.
    """
    key = (files.content_of(clients.local_file) or b"").decode(errors="replace").strip()
    if not key or not CHALLENGE.fullmatch(challenge):
        return None
    return proof(key, challenge, port, state_of(config))
