"""The built-in plugins, found by the engine exactly like anybody's."""
