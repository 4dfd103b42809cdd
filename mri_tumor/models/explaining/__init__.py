"""Which parts of a picture speak for a class: heat maps, how they are drawn, and how good they are."""
