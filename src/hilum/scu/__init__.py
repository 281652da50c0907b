"""The DIMSE doors out: what Hilum asks of other application entities.

`echo` verifies, `send_instances` stores files and `RemoteSender` what the archive holds, `find` queries, `move` and
`get` retrieve. What never happens here: decisions about what to send or to fetch (callers take them), the taking in of
what C-GET brings (that is injected), pixels, bytes of PDUs.
Reference: PS3.4 Annexes A (Verification), B (Storage), C (Query/Retrieve), K (Worklist); PS3.7 §9.1.
"""
