"""Real servers for the tests to call: llama.cpp with a tiny model of our own, and aimock. See fixtures.py for how."""

SENTENCE = "Hello from the tiny local model, which knows only this one sentence."
"""All that the tiny model says at temperature 0 (here, so that naming it does not import numpy)."""

THOUGHT = "Thinking first!"
"""What the thinking model thinks before it says the same sentence."""
