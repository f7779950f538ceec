"""Regional311: one region, many partners, one shared core for contacts, referrals and charges."""

__version__ = "0.1.0"
