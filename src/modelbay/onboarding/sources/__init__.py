"""Providers that somebody else tells of, in a manifest, a catalog or a registry: added from there, and renewed from there."""
