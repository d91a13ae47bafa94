"""Emulated stimulators, written from the protocol documents alone."""
