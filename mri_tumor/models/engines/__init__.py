"""Engines: what works a classifier's network out."""
