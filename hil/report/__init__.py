"""The report of a run: what is made of its evidence, signed, and checked again."""
