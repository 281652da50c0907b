"""The domain of an archive: tenants, instances, origins, the query AST, and the ports its services need.

Pure data and protocols. What never happens here: input or output, SQL, HTTP, DIMSE, a clock.
Standard: PS3.3 (information model), PS3.4 Annex C (query model).
"""
