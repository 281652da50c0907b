"""What an archive does, one use case per module: store, retrieve, search, render, settle, identify.

Services know ports and policies. What never happens here: HTTP, DIMSE, SQL.
"""
