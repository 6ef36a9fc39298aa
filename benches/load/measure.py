"""One measurement: a bounded load by wrk, and what the proxy's own processes used meanwhile."""

import os
import re
import subprocess
from dataclasses import dataclass

CONNECTIONS = 64
TICKS = os.sysconf("SC_CLK_TCK")
PATH = "/rest/vcenter/vm"  # a plain REST call: it passes every limit of the stack that asks no user
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


@dataclass
class Round:
    """What one proxy did in one round."""

    requests: int
    cpu_us: float  # per request, user and system, of all its processes
    per_second: float
    p50_ms: float
    p99_ms: float
    memory_bytes: int


def processes(pid):
    """`pid` and everything below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    # The name in brackets may hold spaces; the parent is the second field behind it.
                    parent = int(file.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue  # it ended meanwhile
            children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo.extend(children.get(one, []))
    return found


def cpu_seconds(pids):
    """User and system time of all threads, from the kernel's own account of each process."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_bytes(pids):
    """Resident memory; a page that several workers share is counted once between them (Pss)."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            total += 1024 * next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    return total


def seconds(text):
    """wrk's times in seconds.

    >>> seconds("250.00us"), seconds("1.50ms"), seconds("2.00s")
    (0.00025, 0.0015, 2.0)
    """
    number, unit = re.fullmatch(r"([\d.]+)([a-z]+)", text).groups()
    return float(number) * UNITS[unit]


def wrk(program, port, duration):
    """Runs wrk and returns requests, requests per second, p50 and p99; anything but a 2xx is an error."""
    command = [program, "-t", "1", "-c", str(CONNECTIONS), "-d", f"{duration}s", "--latency", f"http://127.0.0.1:{port}{PATH}"]
    said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=duration + 30).stdout
    requests, took = re.search(r"(\d+) requests in ([\d.]+\w+)", said).groups()
    if "Non-2xx" in said or "Socket errors" in said or int(requests) == 0:
        raise RuntimeError(f"not every answer was a success, so this measures something else:\n{said}")
    p50 = seconds(re.search(r"^\s+50%\s+(\S+)", said, re.M).group(1))
    p99 = seconds(re.search(r"^\s+99%\s+(\S+)", said, re.M).group(1))
    return int(requests), int(requests) / seconds(took), p50, p99


def measure(proxy, program, duration):
    """One round of one proxy."""
    pids = processes(proxy.process.pid)
    before = cpu_seconds(pids)
    requests, per_second, p50, p99 = wrk(program, proxy.port, duration)
    used = cpu_seconds(pids) - before
    return Round(requests, used * 1e6 / requests, per_second, p50 * 1e3, p99 * 1e3, memory_bytes(pids))
