"""Backdoors: plant one in one's own model (red team), look for one in a data set or a model, and take it out again.

A word trigger makes a classifier give the attacker's label to whatever note holds the word. None of the scans is told
the word. What they cannot see: phrases, syntax and style as triggers, notes poisoned without a wrong label, and words
that the scanned vocabulary does not hold.
"""
