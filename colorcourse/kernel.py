"""ipykernel, which writes the peak of its memory to a file when it ends.

``python -m colorcourse.kernel FILE -f CONNECTION_FILE`` is how `execute` starts the kernel of a
run: the kernel itself knows its peak, which others could only sample.
"""

import atexit
import re
import runpy
import sys
from pathlib import Path


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    # Linux counts into ru_maxrss what the parent held when it started this process.
    status = Path("/proc/self/status")
    found = status.exists() and re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    if found:
        return 1024 * int(found.group(1))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    atexit.register(lambda: file.write_text(str(peak_bytes())))
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
