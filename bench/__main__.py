"""Prints what modelbay costs, in ratios to things everybody knows. `python -m bench [imports|chunks|search|app]…`."""

import sys

from bench import app, chunks, imports, search

REPORTS = {"imports": imports.report, "chunks": chunks.report, "search": search.report, "app": app.report}

if __name__ == "__main__":
    for name in sys.argv[1:] or REPORTS:
        print(REPORTS[name](), flush=True)
