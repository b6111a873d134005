"""Shared by our HTTP servers: allowed callers, valid paths, body size limits."""
