"""The lakehouse platform."""
