"""Where model facts come from."""
