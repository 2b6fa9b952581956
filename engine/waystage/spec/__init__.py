"""YAML becomes frozen, located models."""
