"""Agreements, rates, pools; the runs that rate usage; statements as issuer and as payer."""
