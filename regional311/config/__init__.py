"""The region as files: read, check, plan, apply and export `tenants/` and `policies/`."""
