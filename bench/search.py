"""Searching 5,000 models, as a ratio to one pass of rapidfuzz over the same strings, as its `process.extract` makes it."""

from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from rapidfuzz import fuzz, process

from bench.clock import microseconds
from bench.table import ratio, table
from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.catalog.search import Finder, search
from modelbay.model import Model
from modelbay.storage.cache import Cache

ROWS = 5_000
LIMIT = 50
QUERIES = ["gpt4o", "claude opus", "son45", "openai/gpt-5", "g", "cluade opsu"]


def rows() -> list[Model]:
    """The models of models.dev's snapshot, some of them twice."""
    with TemporaryDirectory() as folder:
        providers = ModelsDev(Cache(Path(folder))).providers
    models = [
        Model(id=id, provider=provider, name=entry.get("name"))
        for provider, listed in providers.items()
        for id, entry in listed["models"].items()
    ]
    return list(islice(cycle(models), ROWS))


def report() -> str:
    models = rows()
    strings = [f"{model.id} {model.name} {model.provider}" for model in models]
    finder = Finder(models)
    lines = []
    for query in QUERIES:
        one_pass = partial(process.extract, query, strings, limit=LIMIT)
        default, simpler = microseconds(one_pass), microseconds(partial(one_pass, scorer=fuzz.partial_ratio))
        once, again = partial(search, query, models, LIMIT), partial(finder.find, query, LIMIT)
        for what, run in ((query, once), ("  typed further", again)):
            took = microseconds(run)
            lines.append([what, f"{took / 1e3:.1f}", ratio(took, default), ratio(took, simpler)])
    return table(f"Search among {ROWS:,} models", ["", "ms", "to rapidfuzz", "to its partial_ratio"], lines)
