"""What TFRecord files hold, byte by byte, and how they are written and read."""
