"""What is on this host: backends and the hops of their paths."""
