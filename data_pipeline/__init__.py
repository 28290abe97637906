"""From notes to a corpus: readers, cleaning, de-identification, deduplication, splits, shards and manifests."""
