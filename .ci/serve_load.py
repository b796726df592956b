#!/usr/bin/env python3
"""Runs `cognito-credentials serve` under load, with expiries, network losses and SIGSTOP.

`serve_load.py PROGRAM [MINUTES]` starts a service whose credentials live for 40 to 120 seconds. The
service is sometimes away for up to 12 seconds. No client may see an error. SEED=N repeats a run.
"""

import atexit
import http.client
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from urllib.parse import urlsplit

program, minutes = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1
POOL = "us-east-1:12345678-dead-beef-cafe-123456790ab0"
IDENTITY = "us-east-1:12345678-dead-beef-cafe-000000000001"
seed = int(os.environ.get("SEED", random.randrange(2**32)))
rng = random.Random(seed)
lock = threading.Lock()
granted = {}  # access key ID -> end, in seconds since 1970
counts = {"calls": 0, "losses": 0, "stops": 0, "requests": 0, "retries": 0, "slow": 0}
errors, used = [], set()
network = "up"
longest_wait = 0.0
stop = threading.Event()


class Service(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if network == "reset":
            self.close_connection = True
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            self.connection.close()
            return
        if network == "silent":
            while network == "silent" and not stop.is_set():
                time.sleep(0.1)
            self.close_connection = True
            return
        with lock:
            counts["calls"] += 1
            if network == "unavailable":
                status, answer = 503, {"__type": "ServiceUnavailable", "message": "later"}
            elif self.headers["X-Amz-Target"].endswith("GetId"):
                status, answer = 200, {"IdentityId": IDENTITY}
            else:
                key = f"ASIA{counts['calls']:016d}"
                granted[key] = int(time.time()) + rng.randint(40, 120)
                status, answer = 200, {
                    "IdentityId": IDENTITY,
                    "Credentials": {
                        "AccessKeyId": key, "SecretKey": "secret", "SessionToken": "token",
                        "Expiration": granted[key],
                    },
                }
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def fetch(port, token):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Authorization": token})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ask(port, token):
    """Asks as the SDKs do: after an error up to three more times, a second apart."""
    for attempt in range(4):
        try:
            status, body = fetch(port, token)
            if status == 200:
                return json.loads(body)["AccessKeyId"]
            seen = f"{status} {body[:200]}"
        except OSError as error:
            seen = repr(error)
        with lock:
            counts["retries"] += 1
        time.sleep(1)
    raise ValueError(seen)


def client(port, token):
    """Asks now and then, and checks what it gets."""
    global longest_wait
    random_time = random.Random(rng.random())
    while not stop.is_set():
        begun = time.time()
        try:
            key = ask(port, token)
            with lock:
                counts["requests"] += 1
                longest_wait = max(longest_wait, time.time() - begun)
                if granted[key] <= time.time():
                    errors.append((time.time() - start, "expired credentials", key))
                used.add(key)
        except Exception as error:
            with lock:
                errors.append((time.time() - start, network, repr(error)))
        stop.wait(random_time.uniform(0, 0.4))


def slow(port):
    """Opens connections that send little or nothing."""
    while not stop.is_set():
        held = []
        try:
            for number in range(100):
                connection = socket.create_connection(("127.0.0.1", port), timeout=5)
                held.append(connection)
                if number % 2:
                    connection.sendall(b"GET / HT")
            with lock:
                counts["slow"] += len(held)
            stop.wait(3)
        except OSError:
            pass
        for connection in held:
            connection.close()


work = tempfile.mkdtemp()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
environment = {"PATH": os.environ["PATH"], "HOME": work, "NO_PROXY": "127.0.0.1"}
serve = subprocess.Popen(
    [program, "serve", "--no-cache", "--identity-pool-id", POOL, "--token-file", f"{work}/token",
     "--endpoint-url", f"http://127.0.0.1:{server.server_address[1]}"],
    stdout=subprocess.PIPE, env=environment, text=True)
atexit.register(serve.kill)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
uri = serve.stdout.readline().strip().split("=", 1)[1]
token_file = serve.stdout.readline().strip().split("=", 1)[1]
port, path = urlsplit(uri).port, urlsplit(uri).path
token = open(token_file).read()
start = time.time()
threads = [threading.Thread(target=client, args=(port, token), daemon=True) for _ in range(20)]
threads += [threading.Thread(target=slow, args=(port,), daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()

memory = []
while time.time() - start < minutes * 60 and serve.poll() is None and len(errors) < 20:
    time.sleep(rng.uniform(2, 10))
    memory.append(int(next(line.split()[1] for line in open(f"/proc/{serve.pid}/status")
                           if line.startswith("VmRSS"))))
    if rng.random() < 0.5:
        network = rng.choice(["reset", "silent", "unavailable"])
        counts["losses"] += 1
        time.sleep(rng.uniform(1, 12))
        network = "up"
    elif rng.random() < 0.4:
        # Sometimes longer than the credentials live.
        counts["stops"] += 1
        serve.send_signal(signal.SIGSTOP)
        time.sleep(rng.choice([1, 5, 20]))
        serve.send_signal(signal.SIGCONT)

alive = serve.poll() is None
stop.set()
for thread in threads:
    thread.join(35)
serve.terminate()
ended = time.time()
status = serve.wait(10)
took = time.time() - ended
print(f"seed {seed}: {minutes} minutes, {counts}, {len(used)} access keys used, longest wait "
      f"{longest_wait:.1f} s, memory {memory[0]} to {max(memory)} KiB, ended in {took:.2f} s, status {status}")
for error in errors[:20]:
    print("error:", error)
if errors or not alive or status != 0 or took > 2 or os.path.exists(token_file) or len(used) < minutes / 2:
    sys.exit(1)
