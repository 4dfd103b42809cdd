"""What files hold: a module for each kind of file, with its size and its picture, and what they share."""
