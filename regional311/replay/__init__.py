"""Replay: anybody's export of contacts or requests, taken in through the services of the web."""
