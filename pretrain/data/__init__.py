"""From the token index to packed, masked batches that follow from a seed and a row number."""
