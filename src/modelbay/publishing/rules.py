"""The rules for what a provider publishes: one table, from a rule's name to how much it matters and what to change."""

import json
from typing import Literal, TypeAlias

from msgspec import Struct

Severity: TypeAlias = Literal["error", "warning", "advice"]
"""An error stops some application; a warning misleads its users; advice makes the most of it."""
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "advice")


class Rule(Struct, frozen=True):
    severity: Severity
    change: str


class Finding(Struct, frozen=True):
    """A rule that is not kept: where, as `models.acme/x.limit.output` or an address, and what is there instead."""

    rule: str
    severity: Severity
    where: str
    message: str
    change: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


def broken(rule: str, where: str, message: str, severity: Severity | None = None) -> Finding:
    """The finding for a rule that is not kept; `severity` where it matters otherwise than usually."""
    row = RULES[rule]
    return Finding(rule, severity or row.severity, where, message, row.change)


def place(*steps: str | int) -> str:
    """Where something stands in a document, as `models.acme/x.cost`."""
    return ".".join(step if isinstance(step, str) and step.isprintable() else json.dumps(step) for step in steps)


RULES: dict[str, Rule] = {
    # the document
    "shape": Rule("error", "answer with the JSON object of the guide, and nothing else; embedded, [manifest, models]"),
    "duplicate-key": Rule("error", "keep one of the two: readers take the first or the last, whichever they like"),
    "key-inside": Rule(
        "error", "take it out and revoke it: everybody has read it; each user brings a key of their own"
    ),
    # the manifest
    "name": Rule("error", 'say what you are called: "name": "Acme"'),
    "website": Rule("error", 'link to your main site: "website": "https://acme.example"'),
    "website-http": Rule("advice", "link to its https:// address"),
    "base-url": Rule("error", 'say where calls go: "baseUrl": "https://api.acme.example/v1"'),
    "base-url-http": Rule("error", "serve your API over https://: keys and conversations travel in it"),
    "base-url-local": Rule("error", "use an address of the open internet: this one leads your users to themselves"),
    "base-url-version": Rule("warning", "put the version into it, as https://api.acme.example/v1"),
    "base-url-endpoint": Rule("error", "leave out what comes after the version: /chat/completions is added to it"),
    "base-url-query": Rule("error", "leave out the query: paths are added behind it"),
    "base-url-slash": Rule("advice", "leave out the slash at its end: some applications add a second one"),
    "base-url-elsewhere": Rule("warning", "host the manifest at the same host; else every user is asked about theirs"),
    "models-source": Rule(
        "error", '"models_data_source" is "endpoint" or "models_dev"; in embedded JSON it is "embedded"'
    ),
    "models-dev-id": Rule("error", 'say what models.dev calls you: "models_dev_provider_id": "acme"'),
    "models-dev-unknown": Rule("error", "use the id of your folder at models.dev, or add yourself there first"),
    "field-unknown": Rule("warning", "spell it as the guide does: what is written otherwise is not read"),
    # extended models
    "models": Rule("error", 'answer with {"models": {"ID": {"id": "ID", "name": …}}}'),
    "models-empty": Rule("error", "list at least one model: there is nothing to choose from"),
    "model-id": Rule("error", "give each model its id once, as key and as `id`, the way calls name it"),
    "model-id-case": Rule("warning", "use ids that differ in more than their case"),
    "model-id-space": Rule("warning", "use an id without spaces"),
    "model-name": Rule("error", 'give each model a name to show: "name": "Acme Large"'),
    "switch": Rule("error", "write true or false, without quotes, or leave it out"),
    "date": Rule("error", "write a day as 2025-08-21"),
    "date-order": Rule("warning", "a model is updated on the day of its release, or later"),
    "date-future": Rule("warning", "give the day of the last change that was made"),
    "modalities": Rule("error", 'write {"input": ["text", "image"], "output": ["text"]}'),
    "modality-unknown": Rule("error", "use the words text, image, audio, video and pdf"),
    "modality-text": Rule("warning", "leave out models that one cannot talk to, or add text"),
    "cost": Rule("error", 'write dollars per million tokens as numbers: {"input": 0.5, "output": 1.5}'),
    "cost-unit": Rule("error", "write dollars per million tokens: a price per token times 1,000,000"),
    "cost-high": Rule("warning", "make sure that these are dollars per million tokens"),
    "cost-half": Rule("warning", "give both input and output: one alone is not used"),
    "cost-cache": Rule("warning", "reading from the cache costs less than the input itself: see if two were swapped"),
    "limit": Rule("error", 'write whole numbers of tokens: {"context": 128000, "output": 4096}'),
    "limit-output": Rule("error", "an answer is part of the context: `output` is at most `context`"),
    "limit-input": Rule("error", "what is asked is part of the context: `input` is at most `context`"),
    "limit-unit": Rule("warning", "write all the tokens: 128000, not 128"),
    "limit-half": Rule("advice", "give both context and output"),
    "reasoning-contradicts": Rule("warning", 'write "reasoning": true, or take the rest away'),
    "attachment-contradicts": Rule("warning", "add what it takes to modalities.input, as image or pdf, or write false"),
    "attachment-modest": Rule("advice", 'write "attachment": true: it takes more than text'),
    "facts-missing": Rule("advice", "add it: applications guess what they are not told"),
    # what answers
    "manifest-http": Rule("error", "serve the manifest over https://: whoever is on the way can point keys elsewhere"),
    "manifest-address": Rule("advice", "serve it where applications look for it: …/v1/models?provider=true"),
    "query-ignored": Rule("error", "look at the query: ?provider=true and ?extended=true have answers of their own"),
    "unreachable": Rule("error", "see that the server runs, is in the DNS, and has a valid certificate"),
    "too-late": Rule("error", "answer at once: keep the answer ready rather than collecting it"),
    "slow": Rule("warning", "answer within 2 s: keep the answer ready rather than collecting it"),
    "too-large": Rule("error", "send only what the guide names"),
    "needs-key": Rule("error", "answer without a key: whoever sets you up may not have one yet"),
    "status": Rule("error", "answer with 200 and JSON"),
    "web-page": Rule("error", "answer with JSON: a page is what a proxy or a website's front end sends"),
    "content-type": Rule("warning", "send `Content-Type: application/json`"),
    "redirects": Rule("error", "publish the address that it points to: no key follows a redirect"),
    "manifest-redirects": Rule("warning", "publish the address that it points to"),
    "list": Rule("error", 'answer {baseUrl}/models as OpenAI does: {"object": "list", "data": [{"id": "ID", …}]}'),
    "list-fields": Rule("warning", 'give each of them "object": "model", "created": seconds and "owned_by": "acme"'),
    "list-differs": Rule("warning", "have the same models in both lists"),
    "list-unseen": Rule("advice", "give --api-key to have it looked at"),
    "chat-refused": Rule("error", "see that the key is valid, and baseUrl where it is valid"),
    "chat-not-found": Rule("error", "see that {baseUrl}/chat/completions is there, and knows the model by its id"),
    "chat-failed": Rule("error", "see that {baseUrl}/chat/completions answers as OpenAI's does"),
    "chat-again": Rule("warning", "answer at the first time of asking"),
    "chat-differs": Rule("advice", "take the parameter as OpenAI does"),
    "chat-untried": Rule("warning", "add --yes, if the key may go there"),
}
