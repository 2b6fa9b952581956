"""Waystage runs model lifecycles that are written down as YAML state machines."""

__version__ = "0.1.0"
