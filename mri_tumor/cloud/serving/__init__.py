"""The local server: SageMaker's contract (`/ping`, `/invocations`) over HTTP, for a model on this machine."""
