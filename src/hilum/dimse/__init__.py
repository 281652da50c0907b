"""PS3.7 without input or output: messages, command sets, statuses, fragments, and who may say what when.

A data set is never looked into or assembled here: its fragments are handed on. What never happens here: sockets,
clocks, and decisions of a service. Reference: PS3.7 §6 to §10, Annexes C, D.3.3.3 and E; PS3.8 Annex E.
"""
