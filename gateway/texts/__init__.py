"""Strict readers of what people type: bytes to text, YAML to values with places."""
