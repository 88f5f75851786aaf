"""The exporter's HTTP side: it renders memory and never waits for anything."""
