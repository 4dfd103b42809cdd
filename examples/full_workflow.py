"""The whole story."""
