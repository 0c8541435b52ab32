"""Benchmarks: the original lab's methods against ours, and cost by size of the work."""
