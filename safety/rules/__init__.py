"""The rules of the safety reference.

One small pure function each (gate.py, ledger.py, and those that monitor.py lists), and their register.
"""
