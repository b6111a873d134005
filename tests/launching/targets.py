"""Targets of launches for tests."""

from modelbay.conversation import Protocol
from modelbay.launching.plan import LaunchModel, LaunchTarget
from modelbay.model import Model
from modelbay.secrecy import Hidden

KEY = "sk-mb-0123456789abcdefghijklmnopqrstuvwxyz"
URL = "http://127.0.0.1:8484"


def launch_model(
    id: str, context: int | None = 128_000, effort: str | None = None, output: int | None = 8_192
) -> LaunchModel:
    facts = Model(
        id=id,
        name=id.title(),
        max_context_tokens=context,
        max_output_tokens=output,
        capabilities={"thinking": True, "tool_use": True, "image_in": False},
    )
    return LaunchModel(id=id, key=id, facts=facts, effort=effort)


def launch_target(
    protocol: Protocol, model: LaunchModel, small: LaunchModel | None = None, *, gateway: bool = True
) -> LaunchTarget:
    base = URL if protocol == "google" else f"{URL}/v1"
    small = small or model
    return LaunchTarget(
        provider="modelbay",
        base_url=base,
        protocol=protocol,
        key=Hidden(KEY),
        through_gateway=gateway,
        model=model,
        small=small,
        models=list({model.id: model, small.id: small}.values()),
    )
