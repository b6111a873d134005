"""`modelbay provider test --deep`: shows the cost, asks, and prints each result as it is observed."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import click

from modelbay import threads
from modelbay.catalog.summary import counted
from modelbay.cli import terminal
from modelbay.cli.checks import show_check
from modelbay.cli.prompts import confirm
from modelbay.cli.terminal import FAILED
from modelbay.config.schema import Config
from modelbay.onboarding.deep_plan import PLANNED, CostEstimate, DeepPlan, PlannedModel, plan
from modelbay.onboarding.deep_test import DeepResult, deep_test
from modelbay.onboarding.model_checks import LONGEST

WIDTH = max(map(len, PLANNED))


def deep(config: Config, providers: Sequence[str], models: Sequence[str], *, yes: bool, as_json: bool) -> int:
    """Test models after the user agreed to the cost. Returns the exit code."""
    planned = plan(config, providers, models, LONGEST)
    for name, reason in planned.skipped.items():
        terminal.note(f"Skipped {name}: {reason}")
    if not planned.models:
        terminal.note("No models to test")
        if as_json:
            terminal.write_json([])
        return FAILED if planned.skipped else 0
    _show_cost(planned)
    if not yes:
        confirm("Send these requests?", otherwise="not a terminal: pass --yes to confirm the cost")
    results: list[DeepResult] = []
    try:
        for model in planned.models:
            results.append(DeepResult(model))
            threads.run(_test(config, model, results[-1], as_json=as_json))
            if not as_json:
                _show_spent(results[-1])
    except (KeyboardInterrupt, click.Abort):
        terminal.note(f"Interrupted; {counted(sum(len(one.checks) for one in results), 'result')} are stored")
        raise
    finally:
        if as_json:
            terminal.write_json([_table(result) for result in results])
    return FAILED if any(result.stopped for result in results) else 0


async def _test(config: Config, model: PlannedModel, result: DeepResult, *, as_json: bool) -> None:
    if not as_json:
        terminal.write(f"{model.name}\n")
    async for check in deep_test(config, model, result):
        if not as_json:
            show_check(check, WIDTH)


def _show_cost(planned: DeepPlan) -> None:
    """Write the calls, tokens and price of each model, and of all."""
    count = len(planned.models)
    terminal.note(f"The deep test of {counted(count, 'model')} sends real requests, which the provider may charge for:")
    for model in planned.models:
        terminal.note(
            f"  {model.name}: {model.usual.calls} to {_tokens(model.most)}, "
            f"price {_dollars(model.usual.dollars)} to {_dollars(model.most.dollars)}"
            if model.most.dollars is not None
            else f"  {model.name}: {model.usual.calls} to {_tokens(model.most)}, price unknown"
        )
    total = planned.total()
    unknown = sum(model.most.dollars is None for model in planned.models)
    price = f"price at most {_dollars(total.dollars)}" if total.dollars is not None else "price unknown"
    more = f", and unknown for {counted(unknown, 'model')}" if unknown and total.dollars is not None else ""
    terminal.note(f"Total: at most {_tokens(total)}, {price}{more}")


def _tokens(one: CostEstimate) -> str:
    return f"{one.calls} calls, at most {one.input:,} tokens in and {one.output:,} out"


def _dollars(amount: Decimal | None) -> str:
    if amount is None:
        return "unknown"
    return f"${amount:.2f}" if amount >= 1 or not amount else f"${amount:.4f}"


def _show_spent(result: DeepResult) -> None:
    used = result.spent.usage
    price = "price unknown" if result.dollars is None else f"about {_dollars(Decimal(result.dollars))}"
    terminal.note(
        f"{counted(result.spent.calls, 'call')}, {used.input_total:,} tokens in, {used.output_total:,} out, {price}; "
        f"stored: show them with `modelbay model show {result.model.name}`"
    )


def _table(result: DeepResult) -> dict[str, Any]:
    used = result.spent.usage
    return {
        "model": result.model.name,
        "provider": result.model.entry.provider,
        "checks": result.checks,
        "calls": result.spent.calls,
        "input_tokens": used.input_total,
        "output_tokens": used.output_total,
        "dollars": result.dollars,
        "stopped": result.stopped,
    }
