"""Endpoints on SageMaker: from an archive to answers, and away again."""
