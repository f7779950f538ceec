"""Shared costs: pools, allocation bases, and the methods that divide them."""
