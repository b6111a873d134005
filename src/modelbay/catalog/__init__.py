"""Facts about models: their sources, and which source takes precedence."""
