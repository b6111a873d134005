"""Parts of the Python library: what a Hub is asked for, and what it returns."""
