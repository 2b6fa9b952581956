"""The process beside a model server: passes requests on, and tells the scoring log of them."""
