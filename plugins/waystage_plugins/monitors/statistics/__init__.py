"""Statistics of scores and outcomes: pure functions of numpy arrays.

A score is the model's probability of the event: higher scores mean that the event is likelier.
"""
