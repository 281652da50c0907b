"""Benchmarks: Hilum beside its peers on the same machine in one run, reported as ratios."""
