"""The index: what the archive knows, in PostgreSQL.

Here: the embedded server's life, schema and migrations, the ingest statement, the compiler from query AST to SQL,
accounts. Row-level security is the second lock on every tenant's rows. What never happens here: reading of DICOM
bytes, permission decisions, or a connection as superuser.

Matching means what PS3.4 §C.2.2.2 says; `hilum.dicom.matching` is the oracle the compiler is held to.
"""
