"""From a provider's entry to an endpoint: URL, authentication, dialect. `presets/*.toml` are the vendors."""
