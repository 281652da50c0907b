"""What a PACS does, one module per transaction: store, search, retrieve, render, sign in.

Services speak to the world through the ports of `hilum.archive.ports` and know no door: the same store serves C-STORE,
STOW-RS and import. What never happens here: HTTP, DIMSE, SQL, the layout of a file or a table.
"""
