"""What the pilot says of the starter encoder, on every labelled set of the starter corpus."""
