"""De-identification: detectors find spans, and their union is replaced. The gate reads the result without them."""
