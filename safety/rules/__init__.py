"""The rules of the safety reference, one small pure function each, and their register.

wish.py, gate.py, pulse.py and skin.py before current may flow, those that monitor.py lists while it may, ledger.py over
all of a patient's sessions.
"""
