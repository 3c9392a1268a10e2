"""`pygent.toml` and `.env` as languages: diagnostics, completion, hover, symbols, quick fixes, formatting."""
