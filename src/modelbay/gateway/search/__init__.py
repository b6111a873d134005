"""Web search for clients whose provider does not have it: `[gateway.search]`.

engine.py runs a search with the configured back end: http_search.py calls an HTTP API, mcp_search.py an MCP server.
found_pages.py makes pages of what they return. search_loop.py answers a request with as many searches as the model asks for.
"""
