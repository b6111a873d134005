"""Facts from model names compared with the built-in list of models.dev: they agree, or the reason is recorded."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

from modelbay.catalog.knowledge import known
from modelbay.catalog.lists.listing import parse_list
from modelbay.catalog.models_dev.index import IndexEntry
from modelbay.catalog.models_dev.live import ModelsDev
from modelbay.storage.cache import Cache

LIST = ModelsDev(Cache(Path(os.devnull)))
MAKERS = {
    "openai": ("openai", "openai_chat"),
    "anthropic": ("anthropic", "anthropic"),
    "google": ("google", "google"),
    "xai": ("xai", "openai_chat"),
    "deepseek": ("deepseek", "openai_chat"),
    "moonshotai": ("moonshot", "openai_chat"),
    "kimi-code-plan-global": ("kimi-code", "openai_chat"),
    "zai": ("zai", "openai_chat"),
    "minimax": ("minimax", "openai_chat"),
    "mistral": ("mistral", "openai_chat"),
    "perplexity": ("perplexity", "openai_chat"),
    "alibaba": ("dashscope", "openai_chat"),
}
"""The maker's own provider in the list, with its vendor and protocol in modelbay."""
REASONS: dict[str, dict[str, str]] = tomllib.loads(
    Path(__file__).with_name("disagreements.toml").read_text(encoding="utf-8")
)
"""By model, "maker id", and fact: why the fact from the name is right or does not matter."""


def disagreements(maker: str, id: str) -> dict[str, tuple[Any, Any]]:
    """The facts on which the name and the list differ: the name's value first."""
    listed = IndexEntry(maker, id, LIST.providers[maker]["models"][id]).facts
    vendor, protocol = MAKERS[maker]
    told = known(id, vendor, protocol).facts
    both: dict[str, tuple[Any, Any]] = {
        "context": (told.max_context_tokens, listed.max_context_tokens),
        "output": (told.max_output_tokens, listed.max_output_tokens),
        "efforts": (told.efforts or None, listed.efforts or None),
    }
    if told.efforts and listed.efforts:
        both["off"] = (told.off_effort or "", listed.off_effort or "")
    for capability in ("thinking", "image_in", "tool_use"):
        both[capability] = (told.capabilities.get(capability), listed.capabilities.get(capability))
    return {
        fact: (ours, theirs) for fact, (ours, theirs) in both.items() if None not in (ours, theirs) and ours != theirs
    }


CHATS = [
    (maker, model.id)
    for maker in MAKERS
    for model in parse_list({"models": LIST.providers[maker]["models"]}).models
    if model.chats and LIST.providers[maker]["models"][model.id]["limit"]["context"]
]


@pytest.mark.parametrize(("maker", "id"), CHATS)
def test_names_and_the_list_agree_or_the_reason_is_recorded(maker, id):
    found = disagreements(maker, id)
    assert {fact: pair for fact, pair in found.items() if fact not in REASONS.get(f"{maker} {id}", {})} == {}


def test_every_reason_is_still_needed():
    found = {f"{maker} {id}": set(disagreements(maker, id)) for maker, id in CHATS}
    assert {
        model: facts for model, reasons in REASONS.items() if (facts := set(reasons) - found.get(model, set()))
    } == {}


def test_the_makers_models_have_a_size():
    unsized = [id for maker, id in CHATS if known(id, *MAKERS[maker]).facts.max_context_tokens is None]
    assert len(unsized) < len(CHATS) / 10, unsized


if __name__ == "__main__":
    for maker, id in CHATS:
        for fact, (ours, theirs) in disagreements(maker, id).items():
            if fact not in REASONS.get(f"{maker} {id}", {}):
                print(f"{maker} {id}: {fact} {ours} {theirs}")
