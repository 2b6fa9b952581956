"""What a change of lifecycles means, before it is taken: differences, bounds, and for each run."""
