"""De-identification: detectors find spans, their union is replaced, a verifier reads the result again."""
