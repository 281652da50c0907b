"""The nouns everyone may use: errors, limits, clocks, ids, and the type that keeps patient data out of logs.

What never happens here: input, output, or an import of another room.
"""
