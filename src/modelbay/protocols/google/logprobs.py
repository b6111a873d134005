"""Token log-probabilities: Gemini's result to the vocabulary's form, which is OpenAI's, and back. Gemini has no bytes."""

from typing import Any

from modelbay.conversation import Json


def parse_logprobs(result: Json) -> list[Json] | None:
    if not isinstance(result, dict):
        return None
    chosen, top = result.get("chosenCandidates") or [], result.get("topCandidates") or []
    found: list[Json] = []
    for index, item in enumerate(chosen):
        others = top[index].get("candidates") if index < len(top) and isinstance(top[index], dict) else None
        found.append({**_parse(item), "top_logprobs": [_parse(other) for other in others or ()]})
    return found or None


def _parse(item: Any) -> dict[str, Json]:
    item = item if isinstance(item, dict) else {}
    return {"token": item.get("token", ""), "logprob": item.get("logProbability", 0.0), "bytes": None}


def render_logprobs(tokens: list[Json]) -> dict[str, Json]:
    result: dict[str, Json] = {"chosenCandidates": [_render(token) for token in tokens]}
    if any(token.get("top_logprobs") for token in tokens):
        result["topCandidates"] = [
            {"candidates": [_render(other) for other in token.get("top_logprobs") or ()]} for token in tokens
        ]
    return result


def _render(token: dict[str, Json]) -> dict[str, Json]:
    return {"token": token.get("token", ""), "logProbability": token.get("logprob", 0.0)}
