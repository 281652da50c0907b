"""The durable job queue and the outbox relay, in PostgreSQL.

Here: jobs kept, leased, put back and ended, lanes with their room and their rest, and the rows ingest leaves in the
outbox, handed on in order. What never happens here: the work itself, or knowledge of what a kind of job means.
"""
