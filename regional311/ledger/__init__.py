"""Each partner's own double-entry books. They know nothing of 311."""
