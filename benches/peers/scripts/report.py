"""Prints for both scripts what the Rust programs print too: the peak memory, the time of a get, and
the keys of single fetches."""

import sys
import threading
import time


def peak():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                print("peak", line.split()[1])


def cached(threads, get):
    start = time.perf_counter()
    gets = []

    def caller():
        own = 0
        while time.perf_counter() - start < 0.06:
            for _ in range(64):
                get()
            own += 64
        gets.append(own)

    others = [threading.Thread(target=caller) for _ in range(threads - 1)]
    for other in others:
        other.start()
    caller()
    for other in others:
        other.join()
    print("ns", round((time.perf_counter() - start) * 1e9 / sum(gets), 1))


def steps(fetch):
    """Makes a fetch for each line of the input. At the line `restart`, `fetch` must start again,
    and keep only the identity."""
    for line in sys.stdin:
        print("key", fetch(line.strip() == "restart"), flush=True)
