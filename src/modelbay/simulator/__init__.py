"""The embedded provider: every protocol that has a codec, without an account, a network or a bill; and faults on demand.

    with Simulator() as sim:            # or `async with`; it runs in a thread of its own
        ...                             # sim.url is the base URL, sim.journal what arrived

`serve` runs it in the foreground. What a model says is made by `brain.py` from the conversation alone; the codecs'
client side reads requests and writes answers, so that one brain speaks every protocol; what else tells one protocol from
another is data, in `manners.py`.
"""

from modelbay.simulator.journal import Entry, Journal
from modelbay.simulator.server import Simulator, serve

__all__ = ["Entry", "Journal", "Simulator", "serve"]
