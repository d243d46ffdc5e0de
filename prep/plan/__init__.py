"""The plan: every example of a dataset and the shard that it goes to.

Probed recordings and settings enter, a `plan.Plan` leaves; nothing is computed from
audio. Begin at `make`.
"""
