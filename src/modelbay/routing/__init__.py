"""Decisions about calls, without I/O; clock and random numbers are passed in."""
