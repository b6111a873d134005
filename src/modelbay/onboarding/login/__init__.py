"""Login to a platform: by device code, by API key or with Google credentials; and logout."""
