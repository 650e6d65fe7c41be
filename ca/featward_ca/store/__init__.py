"""All state of the CA. The only package that imports SQLAlchemy.

`store` says what a store does, `engines` opens one, `writer` groups commits, and `tables` names the
columns; the other modules hold the statements, one module per subject, as plain functions over a
connection.
"""
