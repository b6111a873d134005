"""The protocols that are built, and where their recordings are. A new codec joins the tests by a line here."""

RECORDED: dict[str, tuple[str, ...]] = {
    "openai_chat": ("openai_chat", "moonshot_kimi"),
    "openai_responses": ("openai_responses",),
    "anthropic": ("anthropic_messages", "vertex_anthropic", "bedrock_anthropic"),
    "google": ("google_genai", "vertex_genai"),
}
BUILT = tuple(RECORDED)
