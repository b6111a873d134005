"""Prints the cost of modelbay in ratios to well-known operations.

`python -m bench [imports|chunks|growth|passing|gateway|library|preparation|search|scale|app]…`. Two reports have options:
`python -m bench gateway --help` and `python -m bench library --help`.
"""

import sys

from bench import app, chunks, growth, imports, passing, preparation, scale, search
from bench.gateway import report as gateway
from bench.library import report as library

REPORTS = {
    "imports": imports.report,
    "chunks": chunks.report,
    "growth": growth.report,
    "passing": passing.report,
    "gateway": gateway.quick,
    "library": library.quick,
    "preparation": preparation.report,
    "search": search.report,
    "scale": scale.report,
    "app": app.report,
}

WITH_OPTIONS = {"gateway": gateway.main, "library": library.main}

if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in WITH_OPTIONS:
        WITH_OPTIONS[sys.argv[1]](sys.argv[2:])
    else:
        for name in sys.argv[1:] or REPORTS:
            print(REPORTS[name](), flush=True)
