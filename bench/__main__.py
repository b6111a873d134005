"""Prints the cost of modelbay in ratios to well-known operations.

`python -m bench [imports|chunks|growth|passing|gateway|preparation|search|scale|app]…`. The gateway's report has options:
`python -m bench gateway --help`.
"""

import sys

from bench import app, chunks, growth, imports, passing, preparation, scale, search
from bench.gateway import report as gateway

REPORTS = {
    "imports": imports.report,
    "chunks": chunks.report,
    "growth": growth.report,
    "passing": passing.report,
    "gateway": gateway.quick,
    "preparation": preparation.report,
    "search": search.report,
    "scale": scale.report,
    "app": app.report,
}

if __name__ == "__main__":
    if sys.argv[1:2] == ["gateway"]:
        gateway.main(sys.argv[2:])
    else:
        for name in sys.argv[1:] or REPORTS:
            print(REPORTS[name](), flush=True)
