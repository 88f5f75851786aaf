"""Caddy: what its configuration says, on disk and in memory."""
