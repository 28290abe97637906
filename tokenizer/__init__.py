"""From a corpus to token ids: WordPiece training, the tokenizer folder and the Megatron token index."""
