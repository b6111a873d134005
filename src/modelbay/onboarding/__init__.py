"""Adds, edits, tests, refreshes and removes providers and their models, for every face."""
