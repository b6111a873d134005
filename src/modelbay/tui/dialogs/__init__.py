"""Panels over the conversation: each asks for one thing and ends with the answer."""
