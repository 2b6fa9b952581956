"""Claim, call, commit: what makes runs move."""
