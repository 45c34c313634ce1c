"""One file a command of `medunlearnable`: each has `add(parsers)`, which describes it, and what does it."""
