"""Keeping the catalogue right: who keeps what, looking again, and what others suggest."""
