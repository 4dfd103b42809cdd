"""Pictures that are copies of each other: the search among many, and the pairs and sets it finds."""
