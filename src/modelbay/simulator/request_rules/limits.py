"""Sizes and ranges that providers check."""

from modelbay.simulator.request_rules.request import CheckedRequest, refuse

_USER = 64
_STOPS = 4
_USER_ID = 256
_METADATA = 16, 64, 512


def of_openai(request: CheckedRequest) -> None:
    body = request.call.body
    for name in ("user", "safety_identifier"):
        value = body.get(name)
        if isinstance(value, str) and len(value) > _USER:
            _too_long(request, name, "string", _USER, len(value))
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > _STOPS:
        _too_long(request, "stop", "array", _STOPS, len(stop))
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return
    most, longest_name, longest = _METADATA
    if len(metadata) > most:
        _too_long(request, "metadata", "object", most, len(metadata))
    for name, value in metadata.items():
        if not isinstance(value, str):
            refuse(
                request, f"Invalid type for 'metadata.{name}': expected a string.", f"metadata.{name}", "invalid_type"
            )
        if len(name) > longest_name or len(value) > longest:
            _too_long(request, f"metadata.{name}", "string", longest, len(value))


def _too_long(request: CheckedRequest, name: str, kind: str, most: int, count: int) -> None:
    many = "properties" if kind == "object" else "length"
    article = "a" if kind == "string" else "an"
    refuse(
        request,
        f"Invalid '{name}': {kind} too long. Expected {article} {kind} with maximum {many} {most}, but got {article} {kind} "
        f"with {many} {count} instead.",
        name,
        f"{kind}_above_max_length",
    )


def of_anthropic(request: CheckedRequest) -> None:
    body = request.call.body
    if body.get("temperature") is not None and body.get("top_p") is not None:
        refuse(request, "`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    user = (body.get("metadata") or {}).get("user_id")
    if isinstance(user, str) and len(user) > _USER_ID:
        refuse(request, f"metadata.user_id: String should have at most {_USER_ID} characters")
