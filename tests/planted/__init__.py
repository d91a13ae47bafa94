"""Defects planted in the controller, and small random faults in it: which of the stories and tests sees them."""
