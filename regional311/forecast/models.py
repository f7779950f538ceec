"""Budgets and saved scenarios."""
