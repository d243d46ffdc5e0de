"""Layers and kernels that decoders are built from.

Tensors enter and leave; compiled kernels carry hand-written gradients. Begin at
`dense`.
"""
