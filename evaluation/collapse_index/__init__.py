"""The collapse index: one number from five ways in which controls collapse.

Controls of a clip and of its recording enter, sums and the index leave. Begin at
`index`.
"""
