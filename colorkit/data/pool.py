"""Work on many pictures in several processes; a picture that kills its process harms no other."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice

AHEAD = 3  # tasks that wait for each process, so that none is ever idle


def default_workers() -> int:
    """The cores that this process may use."""
    if hasattr(os, "process_cpu_count"):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def work(
    function: Callable, tasks: Iterable, workers: int, lost: Callable
) -> Iterator[tuple[object, object]]:
    """Yield (task, function(task)) as they are done, in any order.

    Parameters
    ----------
    function : callable
        Of a module, so that another process can import it.
    lost : callable
        ``lost(task, attempt)`` gives the result of a task whose process died, as when a decoder
        crashes; ``attempt`` runs the function on a smaller task in a new process and raises
        BrokenProcessPool if that dies too.
    """
    if workers <= 1:
        for task in tasks:
            yield task, function(task)
        return
    tasks, broken = iter(tasks), []
    while True:
        broken = yield from _until_broken(function, tasks, workers)
        for task in broken:
            yield task, lost(task, lambda smaller: _alone(function, smaller))
        if not broken:
            return


def _until_broken(function: Callable, tasks: Iterator, workers: int) -> Iterator:
    """Run tasks until there is none left, or a process dies: then return those under way."""
    running: dict[Future, object] = {}
    waiting: list = []  # taken from `tasks`, not yet submitted: submitting may raise, too
    with _pool(workers) as pool:
        try:
            while True:
                for task in islice(tasks, workers * AHEAD - len(running)):
                    waiting.append(task)
                while waiting:
                    running[pool.submit(function, waiting[0])] = waiting[0]
                    waiting.pop(0)
                if not running:
                    return []
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    yield running.pop(future), result
        except BrokenProcessPool:
            return [*running.values(), *waiting]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _alone(function: Callable, task: object) -> object:
    with _pool(1) as pool:
        return pool.submit(function, task).result()


def _pool(workers: int) -> ProcessPoolExecutor:
    # "spawn" is the one way that exists everywhere and is safe beside torch's threads.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_follow_parent)


def _follow_parent() -> None:
    """End this process with its parent, also when that was killed."""
    parent = multiprocessing.parent_process()

    def follow() -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        threading.Thread(target=follow, daemon=True).start()
