"""Starts a coding agent with a model of modelbay, without changes to the user's files."""
