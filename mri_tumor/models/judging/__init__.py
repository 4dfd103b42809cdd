"""How a classifier is judged: metrics, intervals, floors, comparison, the page and the five numbers."""
