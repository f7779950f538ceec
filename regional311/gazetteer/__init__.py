"""Known places of the region: addresses, crossings, buildings, each with its point."""
