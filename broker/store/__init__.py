"""PostgreSQL: the pool, named queries, migrations and roles. Decides nothing about documents or agencies."""
