"""Where and when a call is sent: pure decisions, clock and random injected."""
