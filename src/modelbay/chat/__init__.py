"""Talking with models, turn by turn, for every face: what is sent, what is kept, what it cost."""
