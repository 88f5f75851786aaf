"""Proxies of any kind: where one is found, what it has loaded, what it would refuse."""
