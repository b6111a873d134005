"""Small response bodies of each protocol that are not a model's reply, which the codecs render."""

from modelbay.conversation import Extra


def token_count(protocol: str, tokens: int) -> Extra:
    """The response to a request for a token count."""
    match protocol:
        case "openai_responses":
            return {"object": "response.input_tokens", "input_tokens": tokens}
        case "google":
            details = [{"modality": "TEXT", "tokenCount": tokens}]
            return {"totalTokens": tokens, "promptTokensDetails": details}
    return {"input_tokens": tokens}
