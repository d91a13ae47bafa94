"""The rules of the safety reference.

One small pure function each (gate.py, monitor.py, ledger.py), and their register.
"""
