"""A call of a model, from its target to the reply that has begun."""
