"""Copies: exact ones, near ones, and paragraphs that later notes repeat; out of core, over all pieces of a corpus."""
