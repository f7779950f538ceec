"""After issue: payments, ageing, interest, disputes, netting and confirmed balances."""
