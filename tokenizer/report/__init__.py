"""What tokenizers do to held-out notes: numbers and a page that show a bad one before weeks are spent on it."""
