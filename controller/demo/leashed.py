"""`python -m controller.demo.leashed MODULE ARGUMENT...`: run a module, and end it when standard input ends.

So nothing that the demo started outlives the demo, not even one that was killed.
"""

import os
import runpy
import signal
import sys
import threading


def end_with_input() -> None:
    """Wait for the end of standard input, then ask this process to end."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_input, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
