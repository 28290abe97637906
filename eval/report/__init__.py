"""What people read of results: one offline HTML page and a Markdown table."""
