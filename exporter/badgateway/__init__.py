"""badgateway: says why the gateway answers 502, 503 or 504."""

__version__ = "0.1.0"
