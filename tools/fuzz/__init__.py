"""Sends hostile HTTP to a running gateway, and hostile replies to its client. Run by `make fuzz`; see `__main__.py`."""
