"""The witness: an independent bench for stimulator controllers. It knows nothing of any controller."""
