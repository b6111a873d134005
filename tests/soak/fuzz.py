"""The fuzzer's process: `python tests/soak/fuzz.py TARGET -max_total_time=60`. Needs atheris, which guides by coverage."""

import sys
from importlib import import_module
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "src")]

import atheris  # type: ignore[import-untyped]  # noqa: E402

with atheris.instrument_imports(include=["modelbay"]):
    from modelbay.protocols.codec import NAMES, codec

    for module in ("config.load", "providers.endpoint", "replay"):
        import_module(f"modelbay.{module}")
    for protocol in NAMES:
        codec(protocol)

from tests.fuzzing import run, seeds  # noqa: E402

RECORDED = 30
"""Recorded exchanges of each protocol that are damaged, where they are."""


def main() -> None:
    name = sys.argv.pop(1)

    for protocol in NAMES:
        seeds(protocol, RECORDED)  # before the clock runs

    def one(data: bytes) -> None:
        provider = atheris.FuzzedDataProvider(data)
        picks = provider.ConsumeIntListInRange(64, 0, 2**31)
        rest = provider.ConsumeBytes(provider.remaining_bytes())
        run(name, rest, lambda limit: picks.pop() % limit if picks else 0, RECORDED)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
