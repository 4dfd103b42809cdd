"""What runs in children: AWS's handler service and a small TensorFlow Serving."""
