"""The cost of the Python library beside bare aiohttp and other libraries."""
