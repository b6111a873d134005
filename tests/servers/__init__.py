"""Real servers for tests: llama.cpp with our own tiny model, and aimock. See fixtures.py."""

SENTENCE = "Hello from the tiny local model, which knows only this one sentence."
"""The output of the tiny model at temperature 0. It is defined here so that its use does not import numpy."""

THOUGHT = "Thinking first!"
"""The reasoning of the thinking model before the same sentence."""
