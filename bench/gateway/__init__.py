"""Cost of the gateway beside other proxies, in one run: see `report.py`."""
