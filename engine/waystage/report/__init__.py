"""A report about a model in production: one value, written as a page, a card, or JSON."""
