"""Input tokens of a request, before it is sent: the count of the provider, or an estimate."""
