"""Jobs done: the catalogue of kinds with their retry rules, and the loop by which a worker does them.

Here: which handler does a kind of job, how often and when it is tried again, leases kept alive, and what a worker is
doing now. What never happens here: SQL, or a rule about images; handlers are methods of services, named in `app`.
"""
