"""Providers that a manifest, a catalog or a registry describes: adding them from there and refreshing them."""
