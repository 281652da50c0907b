"""The DICOM upper layer for TCP/IP, sans-IO: bytes and the time go in, service primitives and bytes come out.

Here: the seven PDUs and their items (`pdu`, `codec`), the state table as data (`states`), negotiation as a
pure function (`negotiation`), and `core.AssociationCore`, which joins them for one association.

Never here: sockets, clocks, threads, logs; what a PDV's bytes mean; which peers and SOP classes are welcome
(a policy says so).

Reference: PS3.8; sub-items of the user information: PS3.7 Annex D.3.3
"""
