"""Prints what modelbay costs, in ratios to things everybody knows. `python -m bench [imports|chunks|search]…`."""

import sys

from bench import chunks, imports, search

REPORTS = {"imports": imports.report, "chunks": chunks.report, "search": search.report}

if __name__ == "__main__":
    for name in sys.argv[1:] or REPORTS:
        print(REPORTS[name](), flush=True)
