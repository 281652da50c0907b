"""Associations on real sockets: asyncio, TLS, back-pressure, deadlines. It owns sockets and clocks.

`Connection` carries bytes and time between a socket and the upper layer's core, `Association` turns P-DATA into
messages and back, `Acceptor` listens and drains, `open_association` calls. What never happens here: rules of the
protocol (they live in `ul` and `dimse`), decisions of a service, patient data in a report.
Reference: PS3.8 §9.1 (use of TCP), PS3.15 Annex B (TLS profiles).
"""
