"""How logits and features become an answer, and what that is calibrated by."""
