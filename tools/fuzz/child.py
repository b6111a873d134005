"""The process of the gateway: prints its URL, and for each line of its input the number of its tasks, files and bytes."""

import asyncio
import gc
import json
import logging
import os
import sys
from pathlib import Path

from tests.gateway.running import RunningGateway


def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    with RunningGateway(Path(sys.argv[1])) as gateway:
        print(gateway.url, flush=True)
        for _ in sys.stdin:
            gc.collect()
            tasks = sum(isinstance(found, asyncio.Task) and not found.done() for found in gc.get_objects())
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            state = {
                "tasks": tasks,
                "files": len(os.listdir("/proc/self/fd")),
                "connections": gateway.server.connections,
                "mib": pages * os.sysconf("SC_PAGE_SIZE") // 2**20,
            }
            print(json.dumps(state), flush=True)


if __name__ == "__main__":
    main()
