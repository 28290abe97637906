"""The report card: audits held against the release policy, as one offline page and as JSON."""
