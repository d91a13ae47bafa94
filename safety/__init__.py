"""The pure heart of stimwarden: it says whether current may flow, and remembers what flowed.

Everything here is a function of its arguments: no clock, no I/O, no float. Quantities are integers whose unit ends
their name
(`ua` microampere, `us` microsecond, `ms` millisecond, `nc` nanocoulomb, `ohm`, `mm2`, `ppm`). `machine.step` is the
door for everything
that happens at a stimulator; `admit.admit` is the door for a patient's history.
"""
