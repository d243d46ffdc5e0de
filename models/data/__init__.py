"""Batches of a prepared dataset, in an exact order that can be resumed.

A dataset of `prep.dataset` enters, batches of features leave. Begin at `provider`.
"""
