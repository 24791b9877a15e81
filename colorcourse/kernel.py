"""The kernel of a run: ipykernel, which writes the peak of its memory to a file as it goes.

``python -m colorcourse.kernel FILE -f CONNECTION_FILE``
"""

import atexit
import runpy
import sys
import threading
from pathlib import Path

import psutil


def peak_bytes() -> int:
    """The most memory that this process ever held."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    if sys.platform == "linux":  # where ru_maxrss holds what the parent took as it started this
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("VmHWM:")[1].split()[0])  # kB
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def note_peak(file: Path, over: threading.Event) -> None:
    """Write the peak twice a second and when it is over: a kernel that is killed has no end."""
    ended = False
    while not ended:
        ended = over.wait(0.5)
        file.with_suffix(".new").write_text(str(peak_bytes()))
        file.with_suffix(".new").replace(file)


if __name__ == "__main__":
    over = threading.Event()
    watch = threading.Thread(target=note_peak, args=(Path(sys.argv.pop(1)), over), daemon=True)
    watch.start()
    atexit.register(lambda: (over.set(), watch.join()))
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
