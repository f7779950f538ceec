"""Payments, disputes, netting sets and confirmed balances."""
