"""The DIMSE doors in: what a peer's messages ask of the services, and what it is told.

`ArchiveScp` answers association requests and hands each request to the `DimseService` whose SOP class it names. What
never happens here: bytes of PDUs, sockets, decisions about instances (the services take them), and errors without a
status: the tables of `statuses` project them all.
Reference: PS3.4; PS3.7 §9, §10.
"""
