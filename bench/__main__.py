"""Prints the cost of modelbay in ratios to well-known operations.

`python -m bench [imports|chunks|growth|passing|gateway|preparation|search|scale|app]…`.
"""

import sys

from bench import app, chunks, gateway, growth, imports, passing, preparation, scale, search

REPORTS = {
    "imports": imports.report,
    "chunks": chunks.report,
    "growth": growth.report,
    "passing": passing.report,
    "gateway": gateway.report,
    "preparation": preparation.report,
    "search": search.report,
    "scale": scale.report,
    "app": app.report,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or REPORTS:
        print(REPORTS[name](), flush=True)
