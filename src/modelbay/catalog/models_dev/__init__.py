"""models.dev: its list, an index of it, and its providers and models as config entries."""
