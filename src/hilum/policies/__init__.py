"""Pure decisions: facts in, decision and reason out.

Here: who may do what (`authorization`), which callers are let in (`admission`).
What never happens here: input, output, a clock, or knowledge of HTTP, DIMSE or SQL.
"""
