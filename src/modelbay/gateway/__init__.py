"""The gateway: an HTTP server through which programs of any protocol use every configured model."""
