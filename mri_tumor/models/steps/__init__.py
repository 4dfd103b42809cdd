"""The steps of an epoch: objective, rates, averages, devices, and the checkpoint that holds them."""
