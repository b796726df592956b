"""The peers of the program in `.ci/network`: a DNS server, the service, proxies and broken hosts.

They are threads of one process, and end with it. Nothing else is in their network namespace, so
each peer has a fixed port.
"""

import http.server
import ipaddress
import json
import socket
import socketserver
import ssl
import struct
import threading
import time
from dataclasses import dataclass

# The addresses of the service, and what happens at other addresses.
HERE = "198.51.100.1"
HERE_6 = "2001:db8:1::1"
LOOPBACK = ("127.0.0.1", "::1")
THIEF = "198.51.100.66"  # listens too, and must never be sent a login token
THIEF_6 = "2001:db8:1::66"
REFUSED = "198.51.100.2"
REFUSED_6 = "2001:db8:1::2"
SILENT = "198.51.100.3"
SILENT_6 = "2001:db8:1::3"
LOCAL = (HERE, THIEF, REFUSED, SILENT)
LOCAL_6 = (HERE_6, THIEF_6, REFUSED_6, SILENT_6)

PLAIN = 8080
TLS = 8443
FORGETFUL = 8444  # TLS, behind a NAT that forgets a connection once credentials went over it
RESETTING = 8001
CLOSING = 8002
MUTE = 8003

NAMESERVER = "127.0.0.1"
NO_NAMESERVER = "127.0.0.9"

ACCESS_KEY = "ASIAOFTHENETWORK"


@dataclass(frozen=True)
class Answer:
    """The answer of the DNS server to a question for one type of address."""

    addresses: tuple = ()
    code: int = 0
    never: bool = False
    delay: float = 0


NEVER = Answer(never=True)
NO_ADDRESS = Answer()
SERVFAIL, NXDOMAIN, NOTIMP, REFUSED_QUERY = (Answer(code=code) for code in (2, 3, 4, 5))
THIEVES = {"A": Answer((THIEF,)), "AAAA": Answer((THIEF_6,))}


def addresses(*them, delay=0):
    return Answer(them, delay=delay)


class DnsServer(threading.Thread):
    """Answers from `zone` and records the questions. All names of localhost lead to the thief."""

    TYPES = {1: "A", 28: "AAAA"}

    def __init__(self):
        super().__init__(daemon=True)
        self.zone = {}
        self.questions = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((NAMESERVER, 53))

    def run(self):
        while True:
            query, peer = self.socket.recvfrom(4096)
            threading.Thread(target=self.answer, args=(query, peer), daemon=True).start()

    def answer(self, query, peer):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii", "replace"))
            at += 1 + query[at]
        name = ".".join(labels).lower()
        (number,) = struct.unpack_from(">H", query, at + 1)
        kind = self.TYPES.get(number, str(number))
        self.questions.append((name, kind))
        answers = THIEVES if labels and labels[-1].lower() == "localhost" else self.zone.get(name)
        answer = NXDOMAIN if answers is None else answers.get(kind, NO_ADDRESS)
        if answer.never:
            return
        time.sleep(answer.delay)
        records = b""
        for address in answer.addresses:
            data = ipaddress.ip_address(address).packed
            records += struct.pack(">HHHIH", 0xC00C, number, 1, 1, len(data)) + data
        header = struct.pack(">HHHHH", 0x8180 | answer.code, 1, len(answer.addresses), 0, 0)
        self.socket.sendto(query[:2] + header + query[12 : at + 5] + records, peer)


class Service(http.server.ThreadingHTTPServer):
    """An identity pool at one address. It records address, operation and logins in `requests`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, port, requests, context=None, forgetful=False):
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.requests = requests
        self.context = context
        self.forgetful = forgetful
        super().__init__((address, port), Exchange)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def finish_request(self, request, client_address):
        if self.context:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # a program that refuses the certificate ends the connection

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without the look-up of the host's name


class Exchange(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise, the body is sent 40 ms after the head

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].rsplit(".", 1)[-1]
        self.server.requests.append((self.server.server_address[0], operation, body.get("Logins")))
        answer = {"IdentityId": "us-east-1:00000000-0000-4000-8000-000000000001"}
        if operation != "GetId":
            answer["Credentials"] = {
                "AccessKeyId": ACCESS_KEY,
                "SecretKey": "secret",
                "SessionToken": "session",
                "Expiration": time.time() + 3600,
            }
        answer = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        if self.server.forgetful and operation != "GetId":
            self.close_connection = True
            swallow(self.connection)

    def log_message(self, *_):
        pass


def swallow(connection):
    """Reads everything, and never answers."""
    try:
        while connection.recv(65536):
            pass
    except OSError:
        pass


def serve(port, handle, address="127.0.0.1"):
    """Calls `handle` on a thread for each connection, and then closes the connection."""
    listener = socket.create_server((address, port), backlog=64)

    def handled(connection):
        with connection:
            try:
                handle(connection)
            except OSError:
                pass

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=handled, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def reset(connection):
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close(connection):
    connection.recv(65536)


class SilentHost:
    """An address that answers no SYN: the queue of its listener is full, and nobody accepts."""

    def __init__(self, address, ports):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.open = []
        for port in ports:
            listener = socket.socket(family)
            listener.bind((address, port))
            listener.listen(0)
            self.open.append(listener)
            for _ in range(3):
                filler = socket.socket(family)
                filler.setblocking(False)
                filler.connect_ex((address, port))
                self.open.append(filler)
        check = socket.socket(family)
        check.settimeout(0.2)
        try:
            check.connect((address, ports[0]))
        except TimeoutError:
            return
        raise RuntimeError(f"{address} is not silent")


def status(line, *headers, body=b""):
    head = "\r\n".join([f"HTTP/1.1 {line}", *headers, "", ""])
    return head.encode() + body


OPENED = status("200 Connection established")
NEGOTIATE = "Proxy-Authenticate: Negotiate"
NTLM = "Proxy-Authenticate: NTLM"
BASIC = 'Proxy-Authenticate: Basic realm="way out"'
PAGE = "Content-Length: 5"


@dataclass(frozen=True)
class Proxy:
    """Answers CONNECT with `answer`, and then opens the tunnel or not."""

    answer: bytes = b""
    opens: bool = False
    then: object = close

    def handle(self, connection):
        request = b""
        while b"\r\n\r\n" not in request:
            received = connection.recv(65536)
            if not received:
                return
            request += received
        connection.sendall(self.answer)
        if not self.opens:
            return self.then(connection)
        # For the proxy, every name of the tests leads to the service.
        port = int(request.split()[1].rsplit(b":", 1)[1])
        with socket.create_connection((HERE, port)) as service:
            threading.Thread(target=pump, args=(connection, service), daemon=True).start()
            pump(service, connection)


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def drip(connection):
    """Sends a header line each second, without an end."""
    while True:
        connection.sendall(b"Via: 1.1 slow\r\n")
        time.sleep(1)


def end(_):
    pass


PROXIES = {
    "200": Proxy(OPENED, opens=True),
    "201": Proxy(status("201 Created"), opens=True),
    "204": Proxy(status("204 No Content"), opens=True),
    "299": Proxy(status("299 Fine"), opens=True),
    "200 with a length": Proxy(status("200 OK", PAGE), opens=True),
    "100, then 200": Proxy(status("100 Continue") + OPENED, opens=True),
    "103, then 200": Proxy(status("103 Early Hints", "Link: </x>") + OPENED, opens=True),
    "407, Negotiate and NTLM": Proxy(status("407 Sign in", NEGOTIATE, NTLM, PAGE, body=b"page\n")),
    "407, Basic": Proxy(status("407 Sign in", BASIC, PAGE, body=b"page\n")),
    "407, Negotiate and Basic": Proxy(
        status("407 Sign in", NEGOTIATE, BASIC, PAGE, body=b"page\n")
    ),
    "403": Proxy(status("403 Forbidden", PAGE, body=b"page\n")),
    "503": Proxy(status("503 Busy", "Content-Length: 0")),
    "closes": Proxy(then=end),
    "silent": Proxy(then=swallow),
    "junk": Proxy(b"220 mail.example ESMTP\r\n", then=swallow),
    "drips": Proxy(b"HTTP/1.1 200 OK\r\n", then=drip),
}
PROXY_PORTS = {name: 3101 + number for number, name in enumerate(PROXIES)}


def context(folder, default):
    """TLS with the certificate for the name that the client requests, such as `expired.test`."""
    contexts = {}
    for certificate in sorted(folder.glob("*.test.pem")):
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(certificate, folder / "server.key")
        contexts[certificate.name.removesuffix(".pem")] = made

    def choose(connection, name, _):
        connection.context = contexts.get(name, contexts[default])

    contexts[default].sni_callback = choose
    return contexts[default]


class Peers:
    """All peers. `requests` has the requests to every address of the service."""

    def __init__(self, certificates):
        self.requests = []
        self.dns = DnsServer()
        self.dns.start()
        tls = context(certificates, "service.test")
        for address in (HERE, HERE_6, THIEF, THIEF_6, *LOOPBACK):
            Service(address, PLAIN, self.requests)
            Service(address, TLS, self.requests, tls)
            Service(address, FORGETFUL, self.requests, tls, forgetful=True)
        for port, handle in ((RESETTING, reset), (CLOSING, close), (MUTE, swallow)):
            serve(port, handle, HERE)
        for name, proxy in PROXIES.items():
            serve(PROXY_PORTS[name], proxy.handle)
        self.silent = [SilentHost(address, (PLAIN, TLS)) for address in (SILENT, SILENT_6)]
