"""Model lists of providers: finding them, reading them, and the facts of one entry."""
