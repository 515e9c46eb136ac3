"""Where thresholds should be: cases with a known outcome, conformal limits, error rates, envelopes."""
