"""What crosses between partners: envelopes."""
