"""Mutation testing: small wrong changes to the modules that carry claims, one by one.

A sample's size and seed enter; a line of JSON and the diffs that no test noticed leave.
Begin at `mutate`, the program.
"""
