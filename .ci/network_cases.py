"""The rows of `.ci/network`. Each runs the command once, and says which result is right.

`network_cases.py FOLDER [TEXT]` needs its own network, mount and process namespaces.
"""

import re
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from network_peers import (
    ACCESS_KEY,
    CLOSING,
    FORGETFUL,
    HERE,
    HERE_6,
    LOCAL,
    LOCAL_6,
    LOOPBACK,
    MUTE,
    NAMESERVER,
    NEVER,
    NO_ADDRESS,
    NO_NAMESERVER,
    NOTIMP,
    NXDOMAIN,
    PLAIN,
    PROXY_PORTS,
    REFUSED,
    REFUSED_6,
    REFUSED_QUERY,
    RESETTING,
    SERVFAIL,
    SILENT,
    SILENT_6,
    TLS,
    Peers,
    addresses,
)

FOLDER = Path(sys.argv[1])
POOL = "us-east-1:12345678-dead-beef-cafe-123456790ab0"
TOKEN = "login-token-of-the-user"
LIMIT = 4  # seconds for `--timeout`, unless a row has another limit
SLACK = 0.5  # seconds that a busy machine may add
TCP = "6"  # the number, because there is no /etc/protocols

# To these addresses, TCP fails immediately and UDP does not. The resolver sorts addresses with UDP,
# so it still puts these first.
ROUTES = {
    "not allowed (EACCES)": ("prohibit", "192.0.2.1", "2001:db8:2::1"),
    "blackhole (EINVAL)": ("blackhole", "192.0.2.2", "2001:db8:2::2"),
    "host unreachable (EHOSTUNREACH)": ("unreachable", "192.0.2.3", "2001:db8:2::3"),
    "network unreachable (ENETUNREACH)": ("rule", "192.0.2.4", "2001:db8:2::4"),
}
BAD_ADDRESSES = {name: (four, six) for name, (_, four, six) in ROUTES.items()} | {
    "refused": (REFUSED, REFUSED_6),
    "silent": (SILENT, SILENT_6),
}
PROHIBITED, _, UNREACHABLE, _ = (four for _, four, _ in ROUTES.values())

GOOD = {"A": addresses(HERE)}
BOTH = {"A", "AAAA"}

# No text may have these, whatever the row.
NEVER_SAID = [
    TOKEN,
    "panicked",
    "timeout: global",
    "input or output failed",
    r"(?i)\b(ureq|rustls|webpki)\b",
    r"(?<![a-z] \()os error",  # a number without words
    r"getaddrinfo|lookup address information",
    r"UnknownIssuer|Invalid[A-Z]\w+|DnsName|\(UNIX\)",
]
TOOK = r"\d ?(ms|s|seconds?)\b"
SILENCE = "not answer|no (complete )?answer|in time|timed out"
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
NO_THREAD = (*AS_NOBODY, "prlimit", "--nproc=1:1")


@dataclass
class Case:
    name: str
    url: str = f"http://service.test:{PLAIN}"
    zone: dict = field(default_factory=lambda: {"service.test": GOOD})
    command: str = "process"
    arguments: tuple = ()
    limit: float = LIMIT
    nameserver: str = NAMESERVER
    proxy: str = ""
    under: tuple = ()  # what runs the command
    attempts: int = 1
    login: str = "env:LOGIN_TOKEN"
    # With status 0 there must be credentials, with 3 the error must name host and port.
    statuses: tuple = (0,)
    names: str = ""  # what the error names instead of the URL, such as an unreachable proxy
    says: tuple = ()
    never_says: tuple = ()
    within: float = 1  # seconds
    served_at: tuple = ()  # the addresses at which the service may have been asked
    asks: set | None = None  # the types of the DNS questions, if the row checks them
    first: str = ""  # the address that the system's resolver must put first
    cause: str = ""  # causes that differ must have hints that differ

    def program(self):
        arguments = [
            *(FOLDER / "cognito-credentials", self.command, "--no-cache"),
            *("--identity-pool-id", POOL, "--endpoint-url", self.url, "--danger-allow-http"),
            *("--login", f"accounts.google.com={self.login}"),
            *("--timeout", f"{round(self.limit * 1000)}ms", "--max-attempts", str(self.attempts)),
        ]
        if self.url.startswith("https:"):
            arguments += ["--ca-file", FOLDER / "tls/trusted.pem"]
        if self.proxy:
            port = PROXY_PORTS.get(self.proxy)
            arguments += ["--proxy", f"http://127.0.0.1:{port}" if port else self.proxy]
        return [*self.under, *arguments, *self.arguments]


@dataclass
class Probe(Case):
    job: str = ""

    def program(self):
        return [FOLDER / "network-probe", FOLDER / "tls/trusted.pem", self.url, self.job]


def fails(name, *says, **settings):
    """A row in which the command must fail."""
    return Case(name, statuses=(3,), says=says, **settings)


def looked_up(name, a, aaaa, **settings):
    """A row about the look-up of a name. The resolver must ask for both types of address."""
    zone = {"service.test": {"A": a, "AAAA": aaaa}}
    return Case(name, zone=zone, **{"asks": BOTH, **settings})


def look_up_rows():
    a, aaaa = addresses(HERE), addresses(HERE_6)
    late = addresses(HERE, delay=0.3)
    failing = {
        "SERVFAIL": SERVFAIL,
        "NXDOMAIN": NXDOMAIN,
        "NOTIMP": NOTIMP,
        "REFUSED": REFUSED_QUERY,
        "no address": NO_ADDRESS,
        "never answered": NEVER,
    }
    for answer, other in failing.items():
        yield looked_up(f"A good, AAAA {answer}", a, other, served_at=(HERE,))
        yield looked_up(f"AAAA good, A {answer}", other, aaaa, served_at=(HERE_6,))
        yield looked_up(f"A after 300 ms, AAAA {answer}", late, other, served_at=(HERE,))
    yield looked_up("A after 300 ms, AAAA good", late, aaaa, served_at=(HERE_6,))
    yield looked_up("AAAA after 2 s, A good", a, addresses(HERE_6, delay=2), served_at=(HERE,))
    gone = {"statuses": (3,), "says": (TOOK,)}
    yield looked_up("no such name", NXDOMAIN, NXDOMAIN, cause="not found", **gone)
    yield looked_up("a name without addresses", NO_ADDRESS, NO_ADDRESS, **gone)
    yield looked_up("A NXDOMAIN, AAAA never answered", NXDOMAIN, NEVER, limit=2, within=2, **gone)
    yield looked_up("both SERVFAIL", SERVFAIL, SERVFAIL, **gone)
    yield looked_up("a DNS server that never answers", NEVER, NEVER, limit=2, within=2, **gone)
    yield Case("no DNS server", nameserver=NO_NAMESERVER, asks=set(), **gone)
    yield Case(
        "SERVFAIL is tried again",
        zone={"service.test": {"A": SERVFAIL, "AAAA": SERVFAIL}},
        attempts=2,
        arguments=("-v",),
        statuses=(3,),
        says=("attempt 2 of 2",),
    )
    yield looked_up("doctor, AAAA never answered", a, NEVER, command="doctor", served_at=(HERE,))
    # The command has no options for these.
    url = f"http://service.test:{PLAIN}"
    yield Probe(
        "IPv4 only, AAAA never answered",
        url,
        {"service.test": {"A": a, "AAAA": NEVER}},
        job="ipv4-only",
        asks={"A"},
        served_at=(HERE,),
    )
    yield Probe(
        "IPv6 only, A never answered",
        url,
        {"service.test": {"A": NEVER, "AAAA": aaaa}},
        job="ipv6-only",
        asks={"AAAA"},
        served_at=(HERE_6,),
    )


def without_dns_rows():
    for address in (HERE, f"[{HERE_6}]", "127.0.0.1", "[::1]"):
        at = (address.strip("[]"),)
        url = f"http://{address}:{PLAIN}"
        yield Case(f"address {address}", url, asks=set(), served_at=at)
        yield Case(f"doctor, address {address}", url, command="doctor", asks=set(), served_at=at)
    for host in ("localhost", "LocalHost", "localhost."):
        for scheme, port in (("http", PLAIN), ("https", TLS)):
            url = f"{scheme}://{host}:{port}"
            yield Case(f"{scheme}://{host} is this machine", url, asks=set(), served_at=LOOPBACK)
        yield Case(f"doctor, {host}", url, command="doctor", asks=set(), served_at=LOOPBACK)
    # An error is right too. Only the token must not leave.
    yield Case(
        "app.localhost is nobody else's",
        f"http://app.localhost:{PLAIN}",
        statuses=(0, 2, 3),
        asks=set(),
        served_at=LOOPBACK,
    )
    yield Case(
        "a proxy on localhost",
        f"https://service.test:{TLS}",
        proxy=f"http://localhost:{PROXY_PORTS['200']}",
        asks=set(),
        served_at=(HERE,),
    )


def address_rows():
    for kind, bad in BAD_ADDRESSES.items():
        yield Case(
            f"first IPv4 address {kind}, second good",
            zone={"service.test": {"A": addresses(bad[0], HERE)}},
            first=bad[0],
            served_at=(HERE,),
        )
        yield Case(
            f"IPv6 {kind}, IPv4 good",
            zone={"service.test": {"A": addresses(HERE), "AAAA": addresses(bad[1])}},
            first=bad[1],
            served_at=(HERE,),
        )
    every = [four for four, _ in BAD_ADDRESSES.values()]
    yield Case(
        "one address of each kind, the last good",
        zone={"service.test": {"A": addresses(*every, HERE)}},
        first=every[0],
        served_at=(HERE,),
        within=2,
    )
    words = {
        REFUSED: ("refused", "refused"),
        UNREACHABLE: ("unreachable", "unreachable|no route"),
        PROHIBITED: ("not allowed", "not allowed|not permitted|permission denied"),
        SILENT: ("silent", SILENCE),
    }
    # The text begins with the more useful of two errors, or has only that one.
    for useful, other in (
        (REFUSED, UNREACHABLE),
        (REFUSED, PROHIBITED),
        (REFUSED, SILENT),
        (UNREACHABLE, PROHIBITED),
    ):
        for pair in ((useful, other), (other, useful)):
            yield fails(
                " and ".join(words[address][0] for address in pair),
                rf"(?s)\A((?!{words[other][1]}).)*({words[useful][1]})",
                TOOK,
                zone={"service.test": {"A": addresses(*pair)}},
                first=pair[0],
                limit=1,
            )
    for kind, bad in BAD_ADDRESSES.items():
        _, word = words.get(bad[0], ("", "unreachable|no route|not allowed|invalid"))
        for address in (bad[0], f"[{bad[1]}]"):
            yield fails(
                f"address {address}: {kind}",
                *(word, TOOK),
                url=f"http://{address}:{PLAIN}",
                asks=set(),
                limit=1,
                cause=kind if kind in ("refused", "silent") else "",
            )


def limit_rows():
    here = f"http://{HERE}:{PLAIN}"
    yield Case("no thread, an address", here, under=NO_THREAD, served_at=(HERE,))
    for host in ("localhost", "127.0.0.1"):
        url = f"http://{host}:{PLAIN}"
        yield Case(f"no thread, {host}", url, under=NO_THREAD, served_at=LOOPBACK)
    yield fails(
        "no thread, a name: tried again",
        *("thread", "attempt 2 of 2"),
        under=NO_THREAD,
        attempts=2,
        arguments=("-v",),
    )
    yield Case("no thread, doctor", here, command="doctor", under=NO_THREAD, served_at=(HERE,))
    # A shell builtin of `cmd:`, which needs a process and threads.
    yield Case(
        "no thread and no process, a login token by cmd:",
        here,
        under=NO_THREAD,
        login=f"cmd:echo {TOKEN}",
        statuses=(5,),
        says=("accounts.google.com|cmd:",),
    )
    for count in (4, 5, 6, 7, 8):
        under = (*AS_NOBODY, "prlimit", f"--nofile={count}:{count}")
        # The loader of the program itself needs the fourth descriptor.
        yield Case(f"{count} descriptors, an address", here, under=under, served_at=(HERE,))
        yield Case(
            f"{count} descriptors, a name",
            under=under,
            statuses=(0, 3) if count < 8 else (0,),
            served_at=(HERE,),
            within=LIMIT,
        )


def clock_rows():
    url = f"https://service.test:{TLS}"
    moments = {
        "1901": -(2**31),
        "a second before 1970": -1,
        "1970": 0,
        "after 2038": 2**31,
    }
    for name, wall in moments.items():
        under = ("env", f"LD_PRELOAD={FOLDER}/wrong_clock.so", f"WALL_CLOCK={wall}")
        yield Case(f"clock {name}", url, under=under, served_at=(HERE,))
        way = "ahead" if wall > time.time() else "behind"
        yield Case(
            f"doctor, clock {name}",
            url,
            under=under,
            command="doctor",
            statuses=(1,),
            says=(f"clock is .* {way}", ACCESS_KEY),
            served_at=(HERE,),
        )
        yield fails(
            f"clock {name}, an expired certificate",
            "has expired",
            url=f"https://expired.test:{TLS}",
            zone={"expired.test": GOOD},
            under=under,
        )


def proxy_rows():
    common = {"url": f"https://service.test:{TLS}", "asks": set()}
    opened = ("200", "201", "204", "299", "200 with a length", "100, then 200", "103, then 200")
    for answer in opened:
        yield Case(f"proxy: {answer}", proxy=answer, served_at=(HERE,), **common)
    password = "password"
    # The words that the text has, and the words that it must not have.
    rows = {
        "407, Negotiate and NTLM": (("407", "Basic", "Negotiate|NTLM"), (password,)),
        "407, Basic": (("407", password), ()),
        "407, Negotiate and Basic": (("407", password), ()),
        "403": (("403",), (password,)),
        "503": (("503",), (password,)),
        "closes": (("closed",), ()),
        "junk": ((), (password,)),
    }
    for answer, (says, never_says) in rows.items():
        says += (rf"127\.0\.0\.1:{PROXY_PORTS[answer]}\b",)
        yield fails(f"proxy: {answer}", *says, proxy=answer, never_says=never_says, **common)
    for answer in ("silent", "drips"):
        says = (rf"127\.0\.0\.1:{PROXY_PORTS[answer]}\b", TOOK)
        yield fails(f"proxy: {answer}", *says, proxy=answer, limit=2.5, within=2.5, **common)
    for cause, says, proxy in (
        ("refused", "refused", "http://127.0.0.1:9"),
        ("no such name", r"proxy\.test:3128\b", "http://proxy.test:3128"),
    ):
        url = common["url"]
        yield fails(f"proxy: {cause}", says, TOOK, url=url, proxy=proxy, names=proxy)


def text_rows():
    def row(name, *says, cause="", host="service.test", scheme="https", port=TLS, **settings):
        url = f"{scheme}://{host}:{port}"
        return fails(name, *says, url=url, zone={host: GOOD}, cause=cause or name, **settings)

    yield row("certificate for another name", "name", host="other.test")
    yield row("certificate of an unknown authority", "authority|--ca-file", host="unknown.test")
    yield row("certificate that has expired", "has expired", host="expired.test")
    yield row("certificate that is not valid yet", "not (yet )?valid", host="early.test")
    yield row("plain text where TLS is expected", "TLS", port=PLAIN)
    plain = {"scheme": "http", "cause": "cut off"}
    yield row("reset", "reset|closed|ended", port=RESETTING, **plain)
    yield row("closed", "closed|ended", port=CLOSING, **plain)
    yield row("silent after the request", SILENCE, TOOK, port=MUTE, scheme="http", limit=1)
    handshake = {"cause": "no handshake"}
    yield row("reset in the handshake", "reset|closed|ended", port=RESETTING, **handshake)
    yield row("closed in the handshake", "closed|ended", port=CLOSING, **handshake)
    yield row("silent in the handshake", SILENCE, TOOK, port=MUTE, limit=1, **handshake)


def suspend_rows():
    yield Probe(
        "awake after 40 minutes, and the NAT has forgotten the connection",
        f"https://service.test:{FORGETFUL}",
        job="suspend",
        served_at=(HERE,),
        says=(rf"(?:{ACCESS_KEY} after \d+ ms\s*){{3}}",),
    )


def rows():
    for some in (
        without_dns_rows,
        look_up_rows,
        address_rows,
        limit_rows,
        clock_rows,
        proxy_rows,
        text_rows,
        suspend_rows,
    ):
        yield from some()


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)


def set_up_routes():
    ip("link", "set", "lo", "up")
    # With one source for all, the resolver keeps the order of the DNS server.
    ip("address", "add", "198.51.100.100/32", "dev", "lo")
    for address in LOCAL:
        ip("route", "add", "local", address, "dev", "lo", "src", "198.51.100.100")
    for address in LOCAL_6:
        ip("-6", "address", "add", f"{address}/128", "dev", "lo", "nodad")
    ip("route", "add", "192.0.2.0/24", "dev", "lo")
    ip("-6", "route", "add", "2001:db8:2::/64", "dev", "lo")
    for family, index in (("-4", 1), ("-6", 2)):
        for route in ROUTES.values():
            kind, address = route[0], route[index]
            if kind == "rule":  # only a rule gives this error for one protocol
                ip(family, "rule", "add", "to", address, "ipproto", TCP, "unreachable")
            else:
                ip(family, "route", "add", kind, address, "table", "100")
        ip(family, "rule", "add", "ipproto", TCP, "lookup", "100")


class Outcome:
    """The result of one run of a row."""

    def __init__(self, case, peers):
        peers.dns.zone = case.zone
        Path("/etc/resolv.conf").write_text(f"nameserver {case.nameserver}\nsearch .\n")
        self.case = case
        self.first = case.first and first_address(case)
        peers.dns.questions.clear()
        peers.requests.clear()
        begin = time.monotonic()
        try:
            ended = subprocess.run(
                case.program(),
                env={"LOGIN_TOKEN": TOKEN, "PATH": "/usr/bin:/bin"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=max(case.limit, case.within) + 2,
            )
            self.status, output = ended.returncode, ended.stdout
        except subprocess.TimeoutExpired as late:
            self.status, output = "none: it did not end", late.stdout or b""
        self.seconds = time.monotonic() - begin
        self.said = output.decode(errors="replace")
        self.questions = list(peers.dns.questions)
        self.requests = list(peers.requests)

    def faults(self):
        case = self.case
        if self.status not in case.statuses:
            yield f"status {self.status}, not {' or '.join(map(str, case.statuses))}"
        if self.seconds > case.within + SLACK:
            yield f"took {self.seconds:.1f} s, not {case.within} s"
        says = list(case.says)
        if self.status == 0:
            says.append(ACCESS_KEY)
        if self.status == 3:
            at = urlsplit(case.names or case.url)
            says += [re.escape(at.hostname), rf"\b{at.port}\b"]
        for text in says:
            if not re.search(text, self.said, re.IGNORECASE):
                yield f"does not say {text}"
        for text in case.never_says:
            if re.search(text, self.said, re.IGNORECASE):
                yield f"says {text}"
        for text in NEVER_SAID:
            if found := re.search(text, self.said):
                yield f"says {found[0]}"
        if self.first != case.first:
            yield f"the system's resolver puts {self.first} first, not {case.first}"
        if case.asks is not None and {kind for _, kind in self.questions} != case.asks:
            yield f"the DNS server was asked for {self.questions or 'nothing'}, not {case.asks}"
        if self.status == 0 and not self.requests:
            yield "the service was not asked"
        for address, operation, logins in self.requests:
            if address not in case.served_at:
                yield f"{operation} went to {address}, with the logins {logins}"

    def hint(self):
        found = re.search(r"what to do: (.*)", self.said)
        return found and found[1]


def first_address(case):
    parts = urlsplit(case.url)
    found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    return found[0][4][0]


def report(name, seconds, faults, said=""):
    print(f"{'FAIL' if faults else 'ok':4}  {seconds * 1000:5.0f} ms  {name}", flush=True)
    for fault in faults:
        print(f"      {fault}")
    if faults:
        print("".join(f"    | {line}\n" for line in said.splitlines()), end="", flush=True)
    return bool(faults)


def main():
    wanted = sys.argv[2] if len(sys.argv) > 2 else ""
    set_up_routes()
    peers = Peers(FOLDER / "tls")
    direct = Case("", f"http://{HERE}:{PLAIN}")
    direct = statistics.median(Outcome(direct, peers).seconds for _ in range(5))
    print(f"An address without a look-up takes {direct * 1000:.0f} ms.")
    tried = failed = 0
    hints, added = {}, []
    for case in rows():
        if wanted not in case.name:
            continue
        tried += 1
        outcome = Outcome(case, peers)
        failed += report(case.name, outcome.seconds, list(outcome.faults()), outcome.said)
        if case.cause:
            hints.setdefault(outcome.hint(), set()).add(case.cause)
        if outcome.status == 0 and "never answered" in case.name and "after" not in case.name:
            added.append(round((outcome.seconds - direct) * 1000))
    for hint, causes in hints.items():
        if len(causes) > 1 or hint is None:
            tried += 1
            faults = [f"the same for: {', '.join(sorted(causes))}"]
            failed += report(f"hint: {hint}", 0, faults)
    if added:
        print(
            f"Look-ups with a question that is never answered add {min(added)} to {max(added)} ms."
        )
    print(f"{tried - failed} of {tried} rows are right.")
    return tried == 0 or failed > 0


if __name__ == "__main__":
    sys.exit(main())
