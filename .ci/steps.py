"""Runs all checks on this working tree, and prints a table of the steps with their seconds.

`.ci/run` runs all steps, `.ci/run NAME…` only these, and `.ci/run --list` prints what each does. A
step is a script of this folder. It also runs by itself, and installs what it needs.

CARGO_TARGET_DIR is where the build products go. Without it they go to a temporary folder.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
# A step with "beside" starts in the background, and the next steps run at the same time. Its output
# is shown when it has ended. A step with "alone" first waits until they have ended, because it
# measures times.
STEPS = {
    "loom": "beside",
    "format": "",
    "columns": "",
    "lint": "",
    "dependencies": "",
    "documentation": "",
    "examples": "",
    "platforms": "",
    "minimal-versions": "",
    "newest-time": "",
    "tests": "",
    "footprint": "beside",
    "long-runs": "",
    "package-crate": "",
    "interference": "",
    "run-examples": "",
    "cross": "",
    "device": "beside",
    "benches": "",
    "peers": "",
    "fuzzing": "",
    "network": "alone",
    "contract": "",
    "clients": "",
    "endpoint": "beside",
    "serve-load": "beside",
    "package": "",
    "javascript": "",
    "ecosystem": "",
    "quickstart": "",
    "user-pool": "",
}


def summary(name):
    """Returns the second line of a script, which says what the script does."""
    return (HERE / name).read_text(encoding="utf-8").splitlines()[1].strip('#" ')


class Run:
    def __init__(self, work):
        self.work = work
        self.begun = time.monotonic()
        self.beside = {}  # name -> (process, file of its output, its start)
        self.ends = {}
        self.rows = []
        self.environment = {"CARGO_TARGET_DIR": str(work / "target"), "VENV": str(work / "venv"),
                            "CARGO_INCREMENTAL": "0", **os.environ}

    def seconds(self):
        return round(time.monotonic() - self.begun)

    def start(self, name, output=None):
        process = subprocess.Popen([HERE / name], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output, env=self.environment, start_new_session=True)

        def watch():
            process.wait()
            self.ends[name] = self.seconds()

        threading.Thread(target=watch, daemon=True).start()
        return process

    def stop(self, process):
        """Ends a script with all its processes. The script then cleans up."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()

    def ended(self, name, start, status):
        seconds = self.ends.get(name, self.seconds()) - start
        self.rows.append((name, seconds, "ok" if status == 0 else f"status {status}"))
        if status != 0:
            raise subprocess.CalledProcessError(status, f".ci/{name}")

    def collect(self, wait):
        """Shows the background steps that have ended, or waits for all of them."""
        for name, (process, output, start) in list(self.beside.items()):
            if not wait and process.poll() is None:
                continue
            status = process.wait()
            del self.beside[name]
            print(f"\n== {name}, which began at {start} s", flush=True)
            sys.stdout.buffer.write(output.read_bytes())
            sys.stdout.flush()
            self.ended(name, start, status)

    def run(self, names):
        for name in names:
            self.collect(wait=STEPS[name] == "alone")
            start = self.seconds()
            if STEPS[name] == "beside" and name != names[-1]:
                output = self.work / f"{name}.log"
                with output.open("wb") as file:
                    self.beside[name] = (self.start(name, file), output, start)
                continue
            print(f"\n== {name} ({start} s)", flush=True)
            process = self.start(name)
            try:
                status = process.wait()
            except BaseException:
                self.stop(process)
                raise
            self.ended(name, start, status)
        self.collect(wait=True)

    def finish(self):
        for name, (process, _, start) in self.beside.items():
            status = process.poll()
            self.stop(process)
            result = {None: "stopped", 0: "ok"}.get(status, f"status {status}")
            self.rows.append((name, self.ends.get(name, self.seconds()) - start, result))
        print("\nstep               seconds  result")
        for name, seconds, result in self.rows:
            print(f"{name:18} {seconds:7}  {result}")
        print(f"{'all':18} {self.seconds():7}", flush=True)


def main():
    names = list(dict.fromkeys(sys.argv[1:])) or list(STEPS)  # a name twice runs the step once
    if names in (["--help"], ["-h"]):
        print(__doc__)
        return 0
    if names == ["--list"]:
        for name in STEPS:
            print(f"{name:18} {summary(name)}")
        return 0
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"no such step: {' '.join(unknown)} (see .ci/run --list)", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the steps end too
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as work:
        run = Run(pathlib.Path(work))
        try:
            run.run(names)
        except subprocess.CalledProcessError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            run.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
