"""A provider entry made into an endpoint: its URL, its authentication, its dialect. `presets/*.toml` are the vendors."""
