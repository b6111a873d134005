"""The configuration file: what it says, where it is, and what in it cannot be used."""
