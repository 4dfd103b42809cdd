"""Public data sets: how they are fetched, and what their pictures are recognised by."""
