"""Turns a provider's config entry into an endpoint: URL, authentication, dialect. `presets/*.toml` describe the
vendors."""
