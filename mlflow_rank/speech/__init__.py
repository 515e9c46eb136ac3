"""What do we listen to: sources of audio, decoding, sampling, and the starter corpus."""
