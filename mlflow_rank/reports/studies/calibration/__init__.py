"""How a calibration is shown, and the policy that it proposes."""
