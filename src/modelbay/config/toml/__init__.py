"""TOML text edited in place: everything that is not changed stays byte for byte the same."""
