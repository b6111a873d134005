"""Parts of the Python library: the arguments of a Hub's methods, and the objects that they return."""
