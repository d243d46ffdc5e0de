"""The format of a dataset on disk: what prep writes and models read.

A plan and features enter; records, dataset_info.json and dataset.gin leave. Begin at
`info`, which every reader opens first. This is the only folder of prep that models may
import.
"""
