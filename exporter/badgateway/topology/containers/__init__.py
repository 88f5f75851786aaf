"""Containers as hops: what runs in them, and what Compose would start next."""
