"""Text tables to Parquet, whole and unchanged or not at all: `run.convert` begins. pyarrow is imported here at once, so that
this package is imported inside functions only.
"""
