"""Random clinics in virtual time that hunt for faults in a controller; the scope and what was published judge."""
