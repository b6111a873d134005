"""A simulated provider with every protocol that has a codec. It needs no account and no network, and has faults on demand.

    with Simulator() as sim:            # or `async with`; it runs in its own thread
        ...                             # sim.url is the base URL, sim.journal the received requests

`serve` runs it in the foreground. `brain.py` makes the reply of a model from the conversation alone. The client side of the
codecs parses requests and renders responses, so the brain works for every protocol. Other differences between protocols are data
in `traits.py`. `script.py`: replies that a test decides on, in place of the brain's. For tests of programs, use `modelbay.testing`.
"""

from modelbay.simulator.journal import Journal, ReceivedRequest
from modelbay.simulator.server import Simulator, serve

__all__ = ["Journal", "ReceivedRequest", "Simulator", "serve"]
