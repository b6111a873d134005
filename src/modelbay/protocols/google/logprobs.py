"""Log probabilities of tokens: conversion between Gemini's form and ours, which is OpenAI's. Gemini sends no bytes,
which OpenAI's SDK requires: they are encoded from the token."""

from typing import Any

from modelbay.conversation import Json


def parse_logprobs(result: Json) -> list[Json] | None:
    if not isinstance(result, dict):
        return None
    chosen, top = _objects(result.get("chosenCandidates")), _objects(result.get("topCandidates"))
    found: list[Json] = []
    for index, item in enumerate(chosen):
        others = _objects(top[index].get("candidates")) if index < len(top) else []
        found.append({**_parse(item), "top_logprobs": [_parse(other) for other in others]})
    return found or None


def _objects(value: Json) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _parse(item: dict[str, Any]) -> dict[str, Json]:
    token = str(item.get("token") or "")
    return {"token": token, "logprob": item.get("logProbability", 0.0), "bytes": list(token.encode("utf-8", "replace"))}


def render_logprobs(tokens: list[Json]) -> dict[str, Json]:
    result: dict[str, Json] = {"chosenCandidates": [_render(token) for token in tokens]}
    if any(token.get("top_logprobs") for token in tokens):
        result["topCandidates"] = [
            {"candidates": [_render(other) for other in token.get("top_logprobs") or ()]} for token in tokens
        ]
    return result


def _render(token: dict[str, Json]) -> dict[str, Json]:
    return {"token": token.get("token", ""), "logProbability": token.get("logprob", 0.0)}
