"""Does one predict the other? Ranks beside pilot scores of many checkpoints: correlation, prediction, calibration.

Nothing here listens, and nothing here approves: studies read what was measured and piloted, and say what it is worth.
"""
