"""Demo: one deterministic month of a region, through the same services as the web."""
