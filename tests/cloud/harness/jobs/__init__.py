"""Jobs: training, tuning, processing and transform, each run for real in a thread."""
