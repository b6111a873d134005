"""The fixtures of tests/conftest.py for the tests of the integrations, which are outside of its folder."""

from tests.conftest import anyio_backend, one_index, own_cache, own_home, own_secrets, shortest_pauses

__all__ = ["anyio_backend", "one_index", "own_cache", "own_home", "own_secrets", "shortest_pauses"]
