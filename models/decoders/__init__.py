"""Decoders: one module a family."""
