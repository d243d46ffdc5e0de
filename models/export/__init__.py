"""Trained runs as files that work without this project.

A run enters; SavedModel, TFLite and ONNX leave, with a measured parity, or the file of
Magenta's DDSP-VST. Begin at `writer`, or at `plugin_file`.
"""
