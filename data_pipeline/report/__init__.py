"""report.html of a corpus."""
