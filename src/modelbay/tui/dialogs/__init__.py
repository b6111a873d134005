"""Dialogs over the conversation. Each asks for one thing and returns the answer."""
