"""A trained model played live: samples in, samples out, block by block.

Blocks of audio at the model's sample rate enter; as many samples leave, a fixed latency
later. Begin at `instrument`, which puts the ear of `ear` before the streaming player.
"""
