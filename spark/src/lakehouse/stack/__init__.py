"""Starts the real parts of the platform as plain processes, where there is no Docker."""
