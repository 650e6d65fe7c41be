"""All state of the CA, in one SQLite file. The only package that imports SQLAlchemy.

`database` opens the file and applies the schema, `writer` groups commits, and `tables` names the
columns; the other modules hold the statements, one module per subject, as plain functions over a
connection.
"""
