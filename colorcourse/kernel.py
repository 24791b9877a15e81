"""The kernel of a run: ipykernel, which writes the peak of its memory to a file when it ends.

``python -m colorcourse.kernel FILE -f CONNECTION_FILE``
"""

import atexit
import re
import runpy
import sys
from pathlib import Path

import psutil


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux":  # where ru_maxrss holds what the parent took as it started this
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    atexit.register(lambda: file.write_text(str(peak_bytes())))
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
