"""Adding and editing providers, as a state machine that no face is needed for."""
