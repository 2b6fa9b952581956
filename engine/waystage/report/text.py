"""Texts that come from anywhere, written for HTML, SVG and Markdown."""

from __future__ import annotations

from html import escape


def plain(text: object) -> str:
    """Give a text without control and direction characters; line ends are spaces."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def safe(text: object) -> str:
    """Write a text for HTML and SVG, also within quotes."""
    return escape(plain(text), quote=True)


def marked(text: object) -> str:
    """Write a text for Markdown so that it is nothing but text."""
    told = plain(text).replace("\\", "\\\\")
    for letter in "`*_[]#|~":
        told = told.replace(letter, f"\\{letter}")
    return told.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
