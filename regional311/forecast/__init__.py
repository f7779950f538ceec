"""Beside the billed truth: budgets, what-if, and the forecast of a year."""
