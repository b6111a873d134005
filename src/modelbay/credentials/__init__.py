"""API keys and login tokens: references, storage, the origins they may be sent to."""
