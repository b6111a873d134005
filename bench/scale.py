"""Many models in one file: what an operation takes with twice as many, as a ratio to what it takes with half of them."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.clock import side_by_side
from bench.table import ratio, table
from modelbay.config import changes
from modelbay.config.edit import Edit, apply
from modelbay.config.load import load
from modelbay.config.schema import Table
from modelbay.onboarding.sources import imported
from modelbay.onboarding.sources.imported import Imported, owner_of

FEW = 500
PROVIDERS = 25
OWNER = owner_of(("max_context_size", "capabilities"))
ACME: Table = {"type": "openai", "base_url": "https://acme.example/v1"}


def models(count: int) -> dict[str, Table]:
    made = {"max_context_size": 128_000, "capabilities": ["thinking", "tool_use"], "display_name": "A model"}
    return {f"acme/m{number}": {"model": f"m{number}", **made} for number in range(count)}


def filled(folder: Path, count: int) -> Path:
    file = folder / f"{count}.toml"
    apply(lambda edit: changes.add_provider(edit, "acme", ACME, models(count), replace=True), file)
    return file


def adding(folder: Path, count: int) -> Callable[[], object]:
    file, tables = folder / "none.toml", models(count)
    return lambda: apply(lambda edit: changes.add_provider(edit, "acme", ACME, tables), file, dry_run=True)


def reading(folder: Path, count: int) -> Callable[[], object]:
    file = filled(folder, count)
    return lambda: load(file)


def setting(folder: Path, count: int) -> Callable[[], object]:
    file, key = filled(folder, count), ("max_output_size",)
    return lambda: apply(lambda edit: changes.change_model(edit, "acme/m7", {key: 4096}), file, dry_run=True)


def removing(folder: Path, count: int) -> Callable[[], object]:
    file, half = filled(folder, count), list(models(count))[::2]
    return lambda: apply(lambda edit: changes.remove_models(edit, half), file, dry_run=True)


def registry(folder: Path, count: int) -> Callable[[], object]:
    many = count * PROVIDERS // FEW
    tables = {table["model"]: table for table in models(20).values()}
    listed = [Imported(id=f"p{number}", table=ACME, models=tables, owner=OWNER) for number in range(many)]

    def change(edit: Edit) -> None:
        for one in listed:
            imported.write(edit, one)

    return lambda: apply(change, folder / "none.toml", dry_run=True)


OPERATIONS = {
    "read the file": reading,
    "add a provider with its models": adding,
    "set a model": setting,
    "remove half of the models": removing,
    f"a registry of {PROVIDERS} to {2 * PROVIDERS} providers": registry,
}


def report() -> str:
    lines = []
    with TemporaryDirectory() as folder:
        for what, make in OPERATIONS.items():
            few, many = side_by_side([make(Path(folder), FEW), make(Path(folder), 2 * FEW)])
            lines.append([what, f"{few / 1e3:.0f}", f"{many / 1e3:.0f}", ratio(many, few)])
    return table(f"{FEW} and {2 * FEW:,} models in one file", ["", "ms", "ms", "ratio"], lines)
