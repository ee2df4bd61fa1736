"""A memory cgroup for a server of the benchmarks, version 1 or 2, whichever the machine has."""

import contextlib
import os
import pathlib

# Each: the folder that takes new groups, the file of the bound, of the peak, and of the times that it was met.
_V1 = (pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.max_usage_in_bytes")
_V2 = (pathlib.Path("/sys/fs/cgroup"), "memory.max", "memory.peak")


class Group:
    """Processes of this group take at most so many bytes together; it must be empty when it is removed."""

    flags = ()  # a server sees it by itself

    def __init__(self, layout, folder):
        self._folder = folder
        self._peak = folder / layout[2]

    def joining(self, command):
        """The command, as a process that is in the group before it becomes that command."""
        return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self._folder / "cgroup.procs"), *command]

    def peak_bytes(self):
        """Page cache included; None where the kernel does not say."""
        return int(self._peak.read_text()) if self._peak.exists() else None

    def kills(self):
        """How often the kernel has killed for memory here."""
        for name in ("memory.oom_control", "memory.events"):
            with contextlib.suppress(OSError):
                for line in (self._folder / name).read_text().splitlines():
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        return 0


class DataLimit:
    """In place of a group where none can be made: the bound is on private writable memory (RLIMIT_DATA), so that what
    is over it fails to be allocated rather than ending the process."""

    def __init__(self, limit):
        self._limit = limit
        self.flags = (f"--max_memory={limit // 16 * 15}",)

    def joining(self, command):
        return ["prlimit", f"--data={self._limit}", *command]

    def peak_bytes(self):
        return None

    def kills(self):
        return 0


@contextlib.contextmanager
def memory(limit):
    """A Group bounded to `limit` bytes, swap not used; a DataLimit where none can be made."""
    for layout in (_V1, _V2):
        folder = layout[0] / f"heed-bench-{os.getpid()}"
        try:
            if not (layout[0] / "cgroup.procs").exists():
                continue
            folder.mkdir()
            (folder / layout[1]).write_text(str(limit))
        except OSError:
            with contextlib.suppress(OSError):
                folder.rmdir()
            continue
        try:
            yield Group(layout, folder)
        finally:
            folder.rmdir()
        return
    yield DataLimit(limit)
