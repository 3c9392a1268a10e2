"""What Pygent costs, against the raw limit: `scripts/bench`."""
