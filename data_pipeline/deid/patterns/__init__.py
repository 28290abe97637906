"""Identifiers that their shape or their context gives away: a module of detectors a kind, all searched by `find`."""
