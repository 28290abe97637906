"""Processes and their groups: start-up, the ranks' places, and what a layout must satisfy."""
