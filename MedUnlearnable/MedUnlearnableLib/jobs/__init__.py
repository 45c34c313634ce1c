"""Jobs: one run as data, the worker process that does it, and the events in between."""
