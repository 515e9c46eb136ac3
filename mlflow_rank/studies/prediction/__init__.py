"""Whether one foretells the other in a run not seen: learners, rivals, triage."""
