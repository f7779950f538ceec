"""PostgreSQL: engine, session, tenant scope, buffered inserts, embedded server."""
