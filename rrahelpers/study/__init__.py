"""This collection alone: its grids, stored results and published numbers, its notebooks and their figures."""
