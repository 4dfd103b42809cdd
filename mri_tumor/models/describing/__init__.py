"""What a model card is put together from: Markdown, its front matter, and the sections' words."""
