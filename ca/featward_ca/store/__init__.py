"""All state of the CA. The only package that imports SQLAlchemy.

`store` says what a store does, `engines` opens one, `writer` (SQLite) and `threaded` (PostgreSQL) are
the two there are, and `tables` names the columns. `groups`, `pieces`, `changes` and `faults` are what
the two share. The other modules hold the statements, one module per subject, as plain functions over
a connection.
"""
