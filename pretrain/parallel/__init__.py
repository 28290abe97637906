"""Processes and their groups: start-up, the layout, and random numbers that do not depend on it."""
