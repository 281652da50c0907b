"""What the running system says of itself: structured logs that cannot carry patient data, and metrics.

What never happens here: decisions, or values of patient attributes.
"""
