"""A scorer between Kafka topics: its process, its settings, and the probe through the topics."""
