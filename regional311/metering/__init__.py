"""Usage events: what was done, by whom, for whom; never a price."""
