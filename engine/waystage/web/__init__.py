"""The HTTP API; the only user of the web framework."""
