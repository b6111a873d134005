"""The rules for published documents: one table from the name of a rule to its severity and its fix."""

import json
from typing import Literal, TypeAlias

from msgspec import Struct

Severity: TypeAlias = Literal["error", "warning", "advice"]
"""An error breaks some application, a warning misleads its users, advice improves the document."""
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "advice")


class ManifestRule(Struct, frozen=True):
    severity: Severity
    change: str


class RuleFinding(Struct, frozen=True):
    """A violation of a rule. `where` is a path such as `models.acme/x.limit.output`, or a URL; `message` says what is there."""

    rule: str
    severity: Severity
    where: str
    message: str
    change: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


def broken(rule: str, where: str, message: str, severity: Severity | None = None) -> RuleFinding:
    """A finding for a rule. `severity` replaces the severity of the rule."""
    row = RULES[rule]
    return RuleFinding(rule, severity or row.severity, where, message, row.change)


def field_path(*steps: str | int) -> str:
    """The path of a value in a document, such as `models.acme/x.cost`."""
    return ".".join(step if isinstance(step, str) and step.isprintable() else json.dumps(step) for step in steps)


RULE_GROUPS: dict[str, dict[str, ManifestRule]] = {
    "Document": {
        "shape": ManifestRule("error", "return one JSON object as in the guide; embedded JSON is [manifest, models]"),
        "encoding": ManifestRule("error", "encode the document in UTF-8: other readers refuse it"),
        "duplicate-key": ManifestRule("error", "keep one of the two: JSON readers differ in which one they use"),
        "key-inside": ManifestRule(
            "error", "remove the key and revoke it: it is public; each user has a key of their own"
        ),
    },
    "Manifest": {
        "name": ManifestRule("error", 'set the display name: "name": "Acme"'),
        "website": ManifestRule("error", 'set the URL of your website: "website": "https://acme.example"'),
        "website-http": ManifestRule("advice", "use the https:// URL"),
        "base-url": ManifestRule("error", 'set the base URL of your API: "baseUrl": "https://api.acme.example/v1"'),
        "base-url-http": ManifestRule("error", "serve your API over https://: requests contain keys and conversations"),
        "base-url-local": ManifestRule(
            "error", "use a public URL: this one points to the user's own machine or network"
        ),
        "base-url-version": ManifestRule("warning", "include the version, such as https://api.acme.example/v1"),
        "base-url-endpoint": ManifestRule(
            "error", "remove the path after the version: applications append /chat/completions"
        ),
        "base-url-query": ManifestRule("error", "remove the query: applications append paths to the URL"),
        "base-url-slash": ManifestRule("advice", "remove the trailing slash: some applications append a second one"),
        "base-url-elsewhere": ManifestRule(
            "warning", "host the manifest on the same host; otherwise applications ask each user to confirm the host"
        ),
        "models-source": ManifestRule(
            "error", 'set "models_data_source" to "endpoint" or "models_dev"; in embedded JSON to "embedded"'
        ),
        "models-dev-id": ManifestRule("error", 'set your provider ID at models.dev: "models_dev_provider_id": "acme"'),
        "models-dev-unknown": ManifestRule(
            "error", "use the name of your folder at models.dev, or add your provider there first"
        ),
        "field-unknown": ManifestRule("warning", "spell the field as in the guide: unknown fields are ignored"),
    },
    "Extended models": {
        "models": ManifestRule("error", 'return {"models": {"ID": {"id": "ID", "name": …}}}'),
        "models-empty": ManifestRule("error", "list at least one model"),
        "model-id": ManifestRule("error", "give each model a unique ID, as key and as `id`, as requests use it"),
        "model-id-case": ManifestRule("warning", "use IDs that differ in more than case"),
        "model-id-space": ManifestRule("warning", "use an ID without spaces"),
        "model-name": ManifestRule("error", 'give each model a display name: "name": "Acme Large"'),
        "switch": ManifestRule("error", "write true or false without quotes, or remove the field"),
        "date": ManifestRule("error", "write the date as 2025-08-21"),
        "date-order": ManifestRule("warning", "set the date of the last update to the release date or later"),
        "date-future": ManifestRule("warning", "set the date of the last actual update"),
        "modalities": ManifestRule("error", 'write {"input": ["text", "image"], "output": ["text"]}'),
        "modality-unknown": ManifestRule("error", "use only text, image, audio, video and pdf"),
        "modality-text": ManifestRule("warning", "remove models that do not chat, or add text"),
        "cost": ManifestRule("error", 'write US dollars per million tokens as numbers: {"input": 0.5, "output": 1.5}'),
        "cost-unit": ManifestRule(
            "error",
            "write US dollars per million tokens: the price per token times 1,000,000, or per thousand tokens times 1,000",
        ),
        "cost-high": ManifestRule("warning", "check that the price is in US dollars per million tokens"),
        "cost-half": ManifestRule("warning", "set both input and output: one price alone is ignored"),
        "cost-cache": ManifestRule(
            "warning", "check whether two prices are swapped: reading from the cache costs less than input"
        ),
        "limit": ManifestRule("error", 'write whole numbers of tokens: {"context": 128000, "output": 4096}'),
        "limit-output": ManifestRule(
            "error", "set `output` to at most `context`: the answer is part of the context window"
        ),
        "limit-input": ManifestRule(
            "error", "set `input` to at most `context`: the prompt is part of the context window"
        ),
        "limit-unit": ManifestRule("warning", "write the full number of tokens: 128000, not 128"),
        "limit-half": ManifestRule("advice", "set both context and output"),
        "reasoning-options": ManifestRule(
            "error",
            'write [{"type": "effort", "values": ["low", "high"]}]; further types: toggle, budget_tokens with min and max',
        ),
        "interleaved": ManifestRule(
            "error", 'write {"field": "reasoning_content"} with the field of the replies, or true'
        ),
        "reasoning-contradicts": ManifestRule("warning", 'set "reasoning": true, or remove the other reasoning fields'),
        "attachment-contradicts": ManifestRule(
            "warning", "add the accepted types, such as image or pdf, to modalities.input, or set false"
        ),
        "attachment-modest": ManifestRule("advice", 'set "attachment": true: the model accepts more than text'),
        "facts-missing": ManifestRule("advice", "add the field: applications guess missing facts"),
    },
    "Responses": {
        "manifest-http": ManifestRule(
            "error", "serve the manifest over https://: on http://, an attacker can change where keys are sent"
        ),
        "manifest-address": ManifestRule(
            "advice", "use the URL at which applications look for the manifest: …/v1/models?provider=true"
        ),
        "query-ignored": ManifestRule(
            "error", "read the query: ?provider=true and ?extended=true return different documents"
        ),
        "unreachable": ManifestRule(
            "error", "check that the server runs, its host name resolves, and its certificate is valid"
        ),
        "transfer": ManifestRule(
            "error", "send the whole document, uncompressed or in gzip with the header `Content-Encoding: gzip`"
        ),
        "too-late": ManifestRule("error", "respond faster: prepare the response in advance"),
        "slow": ManifestRule("warning", "respond within 2 s: prepare the response in advance"),
        "too-large": ManifestRule("error", "return only the fields of the guide"),
        "needs-key": ManifestRule("error", "respond without a key: users add your provider before they have one"),
        "status": ManifestRule("error", "respond with status 200 and JSON"),
        "web-page": ManifestRule(
            "error", "respond with JSON: this is a web page, probably of a proxy or of your website"
        ),
        "content-type": ManifestRule("warning", "send `Content-Type: application/json`"),
        "redirects": ManifestRule("error", "publish the target of the redirect: keys are not sent to redirect targets"),
        "manifest-redirects": ManifestRule("warning", "publish the target of the redirect"),
        "list": ManifestRule(
            "error", 'return {baseUrl}/models as OpenAI does: {"object": "list", "data": [{"id": "ID", …}]}'
        ),
        "list-fields": ManifestRule(
            "warning", 'give each model "object": "model", "created": seconds and "owned_by": "acme"'
        ),
        "list-differs": ManifestRule("warning", "return the same models in both lists"),
        "list-unseen": ManifestRule("advice", "pass --api-key to check the list"),
        "chat-refused": ManifestRule("error", "check that the key is valid, and that baseUrl belongs to it"),
        "chat-not-found": ManifestRule(
            "error", "check that {baseUrl}/chat/completions exists and accepts the model ID"
        ),
        "chat-failed": ManifestRule("error", "check that {baseUrl}/chat/completions responds as OpenAI's API does"),
        "chat-again": ManifestRule("warning", "respond to the first request: this call succeeded only after a retry"),
        "chat-differs": ManifestRule("advice", "accept the parameter as OpenAI does"),
        "chat-untried": ManifestRule("warning", "pass --yes if the key may be sent there"),
    },
}
"""The rules by the part of the publication that they are about."""
RULES = {name: rule for group in RULE_GROUPS.values() for name, rule in group.items()}
