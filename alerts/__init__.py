"""The alert rules, generated from one description, and what belongs to them."""
