"""Simulated APIs of OpenAI's family besides conversations: legacy completions, reranking, moderation, images and audio.

The responses are valid and deterministic, and repeat parts of the request, so that a test can see what arrived.
"""

import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from modelbay.conversation import Conversation, Extra, Json, Settings, Text, Turn
from modelbay.simulator import brain, responses
from modelbay.simulator.error_messages import bad_request
from modelbay.simulator.form_fields import FormFields
from modelbay.simulator.responses import SimulatedResponse, Step
from modelbay.simulator.simulated_exchange import EVENT_STREAM
from modelbay.simulator.simulated_models import SimulatedModel
from modelbay.simulator.token_counts import tokens
from modelbay.simulator.traits import TRAITS

PROTOCOL = "openai_chat"
FLAGGED = "SIM_FLAG"
"""The word that moderation flags."""
_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip
_AUDIO = {
    "mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm",
}  # fmt: skip
_RATE = 8_000
"""Samples of audio per second."""


class ApiRequest(Struct):
    path: str
    """The path below the base URL, such as "/images/edits"."""
    fields: FormFields
    facts: SimulatedModel
    named: str
    """The model's name in the request."""
    id: str
    """A unique part of IDs."""
    created: int


def completions(request: ApiRequest) -> SimulatedResponse:
    """Legacy completions: each prompt is answered like a message."""
    asked = request.fields.values
    prompts, count = _prompts(asked.get("prompt")), request.fields.number("n", 1)
    replies = [(prompt, *_completed(prompt, request, number)) for prompt in prompts for number in range(1, count + 1)]
    head = {
        "id": f"cmpl-{request.id}",
        "object": "text_completion",
        "created": request.created,
        "model": request.named,
    }
    used = sum(map(tokens, prompts))
    made = sum(tokens(text) for _, text, _ in replies)
    usage = {"prompt_tokens": used, "completion_tokens": made, "total_tokens": used + made}
    texts = [(f"{prompt}{text}" if asked.get("echo") else text, reason) for prompt, text, reason in replies]
    if asked.get("stream"):
        options = asked.get("stream_options")
        include = isinstance(options, dict) and options.get("include_usage")
        return responses.streamed(_completion_chunks(head, texts, usage if include else None), EVENT_STREAM)
    choices = [_choice(index, text, reason) for index, (text, reason) in enumerate(texts)]
    return _json({**head, "choices": choices, "usage": usage})


def _completed(prompt: str, request: ApiRequest, number: int) -> tuple[str, str]:
    """The text and the finish reason."""
    asked = request.fields.values
    stop = asked.get("stop")
    settings = Settings(
        max_output_tokens=request.fields.number("max_tokens", 0) or None,
        stop=[stop] if isinstance(stop, str) else stop,
    )
    conversation = Conversation([Turn("user", [Text(text=prompt)])], settings, model=request.facts.id)
    reply = brain.answer(conversation, request.facts, TRAITS[PROTOCOL], choice=number)
    text = "".join(part.text for part in reply.parts if type(part) is Text)
    return text, "length" if reply.finish == "length" else "stop"


def _completion_chunks(head: Extra, texts: list[tuple[str, str]], usage: Extra | None) -> Iterator[Step]:
    for index, (text, reason) in enumerate(texts):
        for piece in brain.pieces(text):
            yield _event({**head, "choices": [_choice(index, piece, None)]})
        yield _event({**head, "choices": [_choice(index, "", reason)]})
    if usage is not None:
        yield _event({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _choice(index: int, text: str, reason: str | None) -> Extra:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": reason}


def _prompts(given: Json) -> list[str]:
    items = given if isinstance(given, list) else [given]
    if items and all(type(item) is int for item in items):
        items = [items]
    found = [" ".join(map(str, item)) if isinstance(item, list) else item for item in items]
    if not found or not all(isinstance(item, str) for item in found):
        raise bad_request(PROTOCOL, "'prompt' must be a text, a list of texts, or token IDs.", param="prompt")
    return found


def rerank(request: ApiRequest) -> SimulatedResponse:
    """The documents in the order of the words that they share with the query, as Cohere and Jina return them."""
    asked = request.fields.values
    given, query = asked.get("documents"), request.fields.text("query")
    if not isinstance(given, list) or not given or not query:
        raise bad_request(PROTOCOL, "'query' and 'documents' are required.", param="documents")
    documents = [str(one.get("text", "")) if isinstance(one, dict) else str(one) for one in given]
    wanted = _words(query)
    scored = [(index, len(wanted & _words(text)) / (len(wanted) or 1)) for index, text in enumerate(documents)]
    scored.sort(key=lambda pair: -pair[1])
    results: list[Extra] = [
        {"index": index, "relevance_score": round(score, 6)}
        for index, score in scored[: request.fields.number("top_n", len(documents))]
    ]
    if asked.get("return_documents"):
        for result in results:
            result["document"] = {"text": documents[result["index"]]}
    total = tokens(query) + sum(map(tokens, documents))
    body = {"id": f"rerank-{request.id}", "model": request.named, "results": results}
    return _json({**body, "usage": {"prompt_tokens": total, "total_tokens": total}})


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


def moderations(request: ApiRequest) -> SimulatedResponse:
    """Flag inputs that contain `SIM_FLAG`."""
    given = request.fields.values.get("input")
    if given is None:
        raise bad_request(PROTOCOL, "'input' is required.", param="input")
    inputs = given if isinstance(given, list) else [given]
    if any(isinstance(item, dict) for item in inputs):
        inputs = [inputs]  # the parts of one input
    return _json({"id": f"modr-{request.id}", "model": request.named, "results": [_moderated(one) for one in inputs]})


def _moderated(given: Json) -> Extra:
    flagged = FLAGGED in str(given)
    score = 0.99 if flagged else 0.01
    return {
        "flagged": flagged,
        "categories": {name: flagged and name == "violence" for name in _CATEGORIES},
        "category_scores": {name: score if name == "violence" else 0.001 for name in _CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }


def images(request: ApiRequest) -> SimulatedResponse:
    """PNG images with one color, which depends on the prompt, or on the image that is edited."""
    fields = request.fields
    edited = fields.files.get("image")
    prompt = fields.text("prompt")
    if request.path != "/images/generations" and edited is None:
        raise bad_request(PROTOCOL, "'image' is required.", param="image")
    if request.path != "/images/variations" and not prompt:
        raise bad_request(PROTOCOL, "'prompt' is required.", param="prompt")
    if fields.values.get("stream") in (True, "true"):
        raise bad_request(PROTOCOL, "Streaming of images is not simulated.", param="stream")
    seed = prompt.encode("utf-8", "replace") + (edited.data if edited else b"")
    data = [
        b64encode(_png(sha256(seed + bytes([index])).digest()[:3])).decode() for index in range(fields.number("n", 1))
    ]
    as_url = fields.text("response_format") == "url"
    items = [{"url": f"data:image/png;base64,{one}"} if as_url else {"b64_json": one} for one in data]
    used, made = tokens(prompt), 256 * len(items)
    usage = {
        "input_tokens": used,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": used},
        "output_tokens": made,
        "total_tokens": used + made,
    }
    return _json({"created": request.created, "data": items, "usage": usage})


def _png(color: bytes, size: int = 8) -> bytes:
    rows = (b"\0" + color * size) * size
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")
    written = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def audio(request: ApiRequest) -> SimulatedResponse:
    """Speech is a tone whose length depends on the text. A transcription names the file and its size."""
    return _speech(request) if request.path == "/audio/speech" else _transcription(request)


def _speech(request: ApiRequest) -> SimulatedResponse:
    """A tone whose length depends on the text. Only WAV and PCM are real; other formats contain WAV, too."""
    text, form = request.fields.text("input"), request.fields.text("response_format", "mp3")
    if not text or form not in _AUDIO:
        name = "response_format" if text else "input"
        raise bad_request(PROTOCOL, f"'{name}' is not valid.", param=name)
    samples = bytes(128 + (40 if step // 8 % 2 else -40) for step in range(_RATE // 100 * len(text)))
    if form == "pcm":
        return responses.whole(200, samples, _AUDIO[form])
    head = struct.pack("<4sIHHIIHH4sI", b"fmt ", 16, 1, 1, _RATE, _RATE, 1, 8, b"data", len(samples))
    wave = b"RIFF" + struct.pack("<I", 4 + len(head) + len(samples)) + b"WAVE" + head + samples
    return responses.whole(200, wave, _AUDIO[form])


def _transcription(request: ApiRequest) -> SimulatedResponse:
    """A text with the name and the size of the file."""
    fields = request.fields
    file = fields.files.get("file")
    if file is None:
        raise bad_request(PROTOCOL, "'file' is required.", param="file")
    if fields.values.get("stream") in (True, "true"):
        raise bad_request(PROTOCOL, "Streaming of transcriptions is not simulated.", param="stream")
    verb = "translated" if request.path == "/audio/translations" else "heard"
    text = f"I {verb} {file.name} ({len(file.data)} bytes)."
    seconds = len(file.data) / _RATE
    span = f"00:00:00,000 --> 00:00:{int(seconds) % 60:02},000"
    match fields.text("response_format", "json"):
        case "text":
            return responses.whole(200, f"{text}\n".encode(), "text/plain; charset=utf-8")
        case "srt":
            return responses.whole(200, f"1\n{span}\n{text}\n".encode(), "text/plain; charset=utf-8")
        case "vtt":
            return responses.whole(200, f"WEBVTT\n\n{span.replace(',', '.')}\n{text}\n".encode(), "text/vtt")
        case "verbose_json":
            return _json(
                {"task": "transcribe", "language": "english", "duration": seconds, "text": text, "segments": []}
            )
    return _json({"text": text, "usage": {"type": "duration", "seconds": seconds}})


def _json(body: Any) -> SimulatedResponse:
    return responses.whole(200, msgspec.json.encode(body))


def _event(body: Extra) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


APIS: dict[str, Callable[[ApiRequest], SimulatedResponse]] = {
    "completions": completions,
    "rerank": rerank,
    "moderations": moderations,
    "images": images,
    "audio": audio,
}
"""By action."""
ABOUT = {
    "embed": "Vectors that depend on the words of a text, as numbers or in Base64, with `dimensions`",
    "retrieve": "A stored response: as JSON, or with `?stream=true` as a stream",
    "delete": "Deletes a stored response",
    "input_items": "The items that a stored response was generated from",
    "cancel": "An error, because every stored response is complete",
    "compact": "The messages of the user, and one item that replaces the rest of the conversation",
    "count": "The number of tokens",
}
"""Responses of other modules, by action."""
