"""nginx: what its configuration says, what it has loaded, and what it writes."""
