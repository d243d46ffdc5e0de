"""From features to a decoder's inputs, and from its outputs to finished controls.

Features enter `conditioning`; raw outputs enter `heads` and `smoothing`, and controls
that the synths play leave. Begin at `control_smoothing`.
"""
