"""One file per API key, and the visible dispatch table."""
