"""Trained runs as files that work without this project.

A run enters; SavedModel, TFLite and ONNX leave, with a measured parity. Begin at
`writer`.
"""
