"""Stand-in until the table of model knowledge lands: only what the configuration says. The hub calls `model_facts(entry, upstream)`."""

from modelbay.config.schema import ModelEntry
from modelbay.model import Cost, Model
from modelbay.providers.upstream import Upstream


def model_facts(entry: ModelEntry, upstream: Upstream) -> Model:
    capabilities = {name: True for name in entry.capabilities}
    return Model(
        id=entry.model,
        alias=entry.alias,
        provider=entry.provider,
        protocol=upstream.protocol,
        name=entry.display_name,
        max_context_tokens=entry.max_context_size,
        max_output_tokens=entry.max_output_size,
        output_tokens_explicit=entry.max_output_size is not None,
        capabilities=capabilities,  # type: ignore[arg-type]
        efforts=entry.support_efforts,
        default_effort=entry.default_effort,
        off_effort=entry.off_effort,
        cost=entry.cost if isinstance(entry.cost, Cost) else None,
    )
