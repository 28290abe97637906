"""A note's text before identifiers are looked for: decoded, made regular, unwrapped; or left out by a filter."""
