"""The parts of `benchmarks/dataset.py`: each a module with `measure(job)`, run in a process of its own."""
