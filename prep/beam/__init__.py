"""The Beam graph that computes a plan, and the runners it runs on.

A plan enters, finished shards leave; only paths travel between the steps. Begin at
`pipeline`.
"""
