"""Adds and edits providers: a state machine that is independent of the face."""
