"""Tables: Parquet, Arrow, CSV and JSON lines. The only place that imports pyarrow, and only when a table is looked at."""
