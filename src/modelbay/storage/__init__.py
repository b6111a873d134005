"""Files: which folders are used, how a file is replaced, the cache, and SQLite databases."""
