"""Jobs on SageMaker: training, tuning, preparing, predicting many pictures."""
