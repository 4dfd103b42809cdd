"""What runs inside SageMaker: the training job and the inference handler."""
