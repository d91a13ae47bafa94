"""The shell: it turns the world into events and effects into the world. It decides nothing."""
