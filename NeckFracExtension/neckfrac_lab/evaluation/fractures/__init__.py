"""How well fractures are found: studies whose fractures are known, and the figures on them."""
