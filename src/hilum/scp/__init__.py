"""The DIMSE doors in: what a peer's messages ask of the services, and what it is told.

`ArchiveScp` answers association requests and serves Verification and Storage. What never happens here: bytes of PDUs,
sockets, decisions about instances (the services take them), and errors without a status: one table projects them all.
Reference: PS3.4 Annexes A (Verification), B (Storage); PS3.7 §9.1, §9.3.
"""
