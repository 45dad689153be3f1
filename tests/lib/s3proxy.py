#!/usr/bin/python3
"""A proxy in front of an S3 server: counts requests, injects faults.

As a program it serves until it is told to end, and prints one line:

    s3proxy.py --upstream HOST:PORT [--listen HOST:PORT] [--control HOST:PORT]
    ready PORT CONTROLPORT

`S3Proxy` starts that program and talks to its control port.  Requests pass
unchanged, Host too, so that signatures still verify; a client's connection has
one of its own to the server.  Where nothing is injected the proxy looks at heads
only and passes bodies on as they come.

Kinds of request: get (of an object), head, list, put, post, delete, other.
Bytes are those of response bodies sent to the client.

A fault is a dict; the first that matches a request is used:
    fault   latency | status | stall | reset | reset-body | short-body |
            stall-body | wrong-bytes | wrong-length | clock | region
    kind    of request, default get; "any"
    key     a substring of the path, default any
    count   how many requests, default no end
    after   how many matching requests are let through first, default 0
    every   only each Nth of the matching requests, default 1
    ms      for latency
    status, code      for status, default 503 SlowDown
    headers   of the answer, {name: value}: for status instead of the server's,
            for what passes in addition
    at      how many bytes of the body pass first, default half of them
    by      how much is added to Content-Length, for wrong-length
    seconds   how far ahead the clock of the server is, for clock: who signs
            with another is refused, and who signs with it served
    region   where the bucket is, for region: alike; `status` says how it is
            refused, 301 or 400
    keys    [access key, secret key] of the server, for clock and region
"""

import argparse
import asyncio
import collections
import ctypes
import datetime
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys

import sigv4

SUBRESOURCES = (b"acl", b"location", b"uploads", b"uploadId", b"versioning",
                b"tagging", b"policy", b"cors", b"lifecycle")
HIGH_WATER = 4 << 20
LOG_LENGTH = 200000

REASONS = {301: "Moved Permanently", 307: "Temporary Redirect",
           400: "Bad Request", 403: "Forbidden", 404: "Not Found",
           412: "Precondition Failed", 416: "Range Not Satisfiable",
           429: "Too Many Requests", 500: "Internal Server Error",
           503: "Service Unavailable"}
CODES = {429: "TooManyRequests", 500: "InternalError", 503: "SlowDown",
         403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed",
         "clock": "RequestTimeTooSkewed", 301: "PermanentRedirect", 400: "AuthorizationHeaderMalformed"}
STATUS = {"clock": 403, "region": 400}
MAX_SKEW_S = 900


def header(head, name):
    """The value of the header `name` (lower case) in `head`, or None."""
    low = head.lower()
    at = low.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    at += len(name) + 3
    return head[at:head.index(b"\r\n", at)].strip()


def kind_of(method, target):
    """The kind of a request, and the path it is for."""
    path, _, query = target.partition(b"?")
    if method == b"HEAD":
        return "head", path
    if method == b"GET":
        names = [p.partition(b"=")[0] for p in query.split(b"&")]
        if any(n in SUBRESOURCES for n in names):
            return "other", path
        slash = path.find(b"/", 1)
        if 0 < slash < len(path) - 1:
            return "get", path
        return ("list" if len(path) > 1 else "other"), path
    return {b"PUT": "put", b"POST": "post",
            b"DELETE": "delete"}.get(method, "other"), path


class Rule:
    """One fault and how often it still comes."""

    def __init__(self, spec):
        self.fault = spec["fault"]
        self.kind = spec.get("kind", "get")
        self.key = spec.get("key", "").encode()
        self.left = spec.get("count", -1)
        self.after = spec.get("after", 0)
        self.every = spec.get("every", 1)
        self.ms = spec.get("ms", 0)
        self.status = spec.get("status", STATUS.get(self.fault, 503))
        self.code = spec.get("code", CODES.get(
            self.fault, CODES.get(self.status, "Error")))
        self.at = spec.get("at")
        self.headers = spec.get("headers", {})
        self.by = spec.get("by", 0)
        self.seconds = spec.get("seconds", 0)
        self.region = spec.get("region")
        self.keys = spec.get("keys")
        self.seen = 0

    def takes(self, kind, path):
        if self.left == 0 or self.kind not in (kind, "any") or \
                self.key not in path:
            return False
        self.seen += 1
        if self.seen <= self.after or (self.seen - self.after) % self.every:
            return False
        if self.left > 0:
            self.left -= 1
        return True

    def date(self):
        """By the clock of the server, as a field."""
        when = sigv4.now(self.seconds)
        return when.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n")

    def is_signed_for(self, head):
        """Whether a request fits the clock or the region that it feigns."""
        if self.fault == "region":
            parts = sigv4.parts_of(header(head, b"authorization").decode())
            return parts["Credential"].split("/")[2] == self.region
        stamp = header(head, b"x-amz-date").decode()
        wanted = sigv4.now(self.seconds).replace(tzinfo=None)
        told = datetime.datetime.strptime(stamp, sigv4.STAMP)
        return abs((told - wanted).total_seconds()) < MAX_SKEW_S

    def fields(self):
        return "".join("%s: %s\r\n" % h for h in self.headers.items())


class State:
    """What the connections share."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.rules = []
        self.held = set()  # Client or Body, each with a release()
        self.reset()

    def reset(self):
        self.requests = collections.Counter()
        self.bytes = collections.Counter()
        self.status = collections.Counter()
        self.injected = collections.Counter()
        self.log = collections.deque(maxlen=LOG_LENGTH)
        self.keys = set()  # of objects that a GET asked for

    def pick(self, kind, path):
        for r in self.rules:
            if r.takes(kind, path):
                self.injected[r.fault] += 1
                return r
        return None

    def release(self):
        held, self.held = self.held, set()
        for h in held:
            h.release()
        return len(held)

    def counts(self):
        return {"requests": self.requests, "bytes": self.bytes,
                "status": self.status, "injected": self.injected,
                "objects": len(self.keys), "held": len(self.held)}


class Server(asyncio.Protocol):
    """The connection to the S3 server that belongs to one Client."""

    def __init__(self, client):
        self.client = client
        self.transport = None
        self.head = b""
        self.left = 0  # bytes of the body; -1: until the end of the stream
        self.chunks = None
        self.waiting = False  # for a response

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)

    def connection_lost(self, exc):
        self.client.server_lost()

    def pause_writing(self):
        self.client.transport.pause_reading()

    def resume_writing(self):
        self.client.transport.resume_reading()

    def data_received(self, data):
        while data:
            if not self.waiting:
                self.transport.abort()
                return
            if self.left or self.chunks:
                data = self.on_body(data)
            else:
                data = self.on_head(data)

    def on_head(self, data):
        self.head += data
        end = self.head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        head, rest = self.head[:end + 4], self.head[end + 4:]
        self.head = b""
        status = int(head[9:12])
        if status < 200:  # 100 Continue
            self.client.send(head, 0)
            return rest
        length = header(head, b"content-length")
        if self.client.kind == "head" or status in (204, 304):
            self.left = 0
        elif length is not None:
            self.left = int(length)
        elif (header(head, b"transfer-encoding") or b"").lower() == b"chunked":
            self.chunks = Chunks()
        else:
            self.left = -1
        self.client.on_response(status, head, self.left)
        if not self.left and not self.chunks:
            self.ended()
        return rest

    def on_body(self, data):
        if self.chunks:
            used, end = self.chunks.feed(data)
            self.client.send(data[:used], used)
            if end:
                self.chunks = None
                self.ended()
            return data[used:]
        if self.left < 0:
            self.client.send(data, len(data))
            return b""
        rest = data[self.left:]
        if rest:
            data = data[:self.left]
        self.left -= len(data)
        self.client.send(data, len(data))
        if not self.left:
            self.ended()
        return rest

    def ended(self):
        self.waiting = False
        self.client.on_response_end()


class Chunks:
    """Finds the end of a chunked body."""

    def __init__(self):
        self.line = b""
        self.left = 0
        self.trailer = False

    def feed(self, data):
        """How many bytes of `data` belong to the body; whether it ended."""
        at = 0
        while at < len(data):
            if self.left:
                n = min(self.left, len(data) - at)
                self.left -= n
                at += n
                continue
            nl = data.find(b"\n", at)
            if nl < 0:
                self.line += data[at:]
                return len(data), False
            line = (self.line + data[at:nl]).strip()
            self.line = b""
            at = nl + 1
            if self.trailer:
                if not line:
                    return at, True
            elif line:
                self.left = int(line.split(b";")[0], 16)
                if self.left:
                    self.left += 2
                else:
                    self.trailer = True
        return at, False


class Body:
    """What a fault does to the body of one response."""

    def __init__(self, client, rule, length):
        self.client = client
        self.rule = rule
        self.at = rule.at if rule.at is not None else max(length // 2, 0)
        self.passed = 0
        self.kept = None
        self.over = False

    def send(self, data):
        if self.kept is not None:
            self.kept.append(data)
            return
        room = self.at - self.passed
        self.passed += len(data)
        if len(data) <= room:
            self.client.transport.write(data)
            return
        if self.rule.fault == "wrong-length":
            self.client.transport.write(data)
            return
        first, rest = data[:max(room, 0)], data[max(room, 0):]
        if self.rule.fault == "wrong-bytes":
            if room >= 0:  # one byte, so that lengths and most bytes are right
                rest = bytes([rest[0] ^ 0x55]) + rest[1:]
            self.client.transport.write(first + rest)
            return
        self.client.transport.write(first)
        if self.rule.fault == "stall-body":
            self.kept = [rest]
            self.client.state.held.add(self)
        elif not self.over:
            self.over = True
            self.client.cut(hard=self.rule.fault == "reset-body")

    def release(self):
        kept, self.kept = self.kept, None
        self.at = 1 << 62
        for data in kept:
            self.client.transport.write(data)
        if self.over:
            self.client.body = None
            self.client.next_request()
        if self.client.server is None:
            self.client.transport.close()


class Client(asyncio.Protocol):
    """A client's connection: one request after the other."""

    def __init__(self, state):
        self.state = state
        self.transport = None
        self.server = None
        self.connecting = False
        self.buffer = b""
        self.body_left = 0  # of the request
        self.busy = False
        self.kind = "other"
        self.entry = None  # of the log
        self.rule = None
        self.body = None
        self.kept = None  # the head of a request that waits
        self.to_send = []

    def connection_made(self, transport):
        self.transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)

    def connection_lost(self, exc):
        self.state.held.discard(self)
        self.state.held.discard(self.body)
        if self.server and self.server.transport:
            self.server.transport.abort()
        self.server = None

    def pause_writing(self):
        if self.server and self.server.transport:
            self.server.transport.pause_reading()

    def resume_writing(self):
        if self.server and self.server.transport:
            self.server.transport.resume_reading()

    def data_received(self, data):
        if self.body_left:
            n = min(self.body_left, len(data))
            self.body_left -= n
            self.forward(data[:n])
            data = data[n:]
        self.buffer += data
        self.next_request()

    def next_request(self):
        if self.busy or self.body_left or not self.buffer:
            return
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head, self.buffer = self.buffer[:end + 4], self.buffer[end + 4:]
        method, target, _ = head[:head.index(b"\r\n")].split(b" ", 2)
        self.kind, path = kind_of(method, target)
        length = header(head, b"content-length") if method != b"GET" else None
        self.body_left = int(length or 0)
        self.busy = True
        self.state.requests[self.kind] += 1
        if self.kind == "get":
            self.state.keys.add(path)
        self.entry = [self.kind, target.decode("latin-1"),
                      (header(head, b"range") or b"").decode(), 0, 0]
        self.state.log.append(self.entry)
        rule = self.state.rules and self.state.pick(self.kind, path)
        if rule and self.act(rule, head):
            return
        self.start(head)

    def act(self, rule, head):
        """Injects what comes before the response; False: go on."""
        if rule.fault == "reset":
            self.cut(hard=True)
        elif rule.fault == "status":
            self.refuse(rule, head)
        elif rule.fault in ("clock", "region"):
            return self.pretend(rule, head)
        elif rule.fault == "latency":
            self.kept = head
            asyncio.get_running_loop().call_later(rule.ms / 1000,
                                                  self.release)
        elif rule.fault == "stall":
            self.kept = head
            self.state.held.add(self)
        else:
            self.rule = rule
            return False
        return True

    def release(self):
        if not self.transport.is_closing():
            self.start(self.kept)

    def pretend(self, rule, head):
        """To be in another region, or to have another clock."""
        if rule.is_signed_for(head):
            self.start(sigv4.sign_again(head, *rule.keys))
            return True
        more = rule.date()
        if rule.fault == "region":
            more = "x-amz-bucket-region: %s\r\n" % rule.region
        self.refuse(rule, head, more)
        return True

    def refuse(self, rule, head, more=""):
        region = "<Region>%s</Region>" % rule.region if rule.region else ""
        xml = ('<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code>'
               "<Message>injected</Message>%s<RequestId>0</RequestId></Error>"
               % (rule.code, region)).encode()
        ends = (header(head, b"connection") or b"").lower() == b"close"
        close = "Connection: close\r\n" if self.body_left or ends else ""
        head = ("HTTP/1.1 %d %s\r\nContent-Type: application/xml\r\n"
                "%s%sContent-Length: %d\r\n\r\n" %
                (rule.status, REASONS.get(rule.status, "Injected"),
                 more + rule.fields(), close, len(xml))).encode()
        self.state.status[str(rule.status)] += 1
        self.entry[3] = rule.status
        self.transport.write(head + (b"" if self.kind == "head" else xml))
        if close:
            self.body_left = 0
            self.buffer = b""
            self.transport.close()
        else:
            self.busy = False
            self.next_request()

    def start(self, head):
        n = min(self.body_left, len(self.buffer))
        self.body_left -= n
        data, self.buffer = head + self.buffer[:n], self.buffer[n:]
        self.forward(data)
        if self.server:
            self.server.waiting = True

    def forward(self, data):
        if self.server and self.server.transport:
            self.server.transport.write(data)
            return
        self.to_send.append(data)
        if not self.connecting:
            self.connecting = True
            asyncio.ensure_future(self.connect())

    async def connect(self):
        try:
            _, server = await asyncio.get_running_loop().create_connection(
                lambda: Server(self), *self.state.upstream)
        except OSError:
            self.cut(hard=True)
            return
        if self.transport.is_closing():
            server.transport.abort()
            return
        self.server = server
        server.waiting = True
        server.transport.write(b"".join(self.to_send))
        self.to_send = []

    def on_response(self, status, head, length):
        self.state.status[str(status)] += 1
        self.entry[3] = status
        self.transport.write(self.changed(head))
        if self.rule:
            self.body = Body(self, self.rule, length)
            self.rule = None

    def changed(self, head):
        """The head of an answer that passes."""
        if not self.rule:
            return head
        head = head[:-2] + self.rule.fields().encode() + b"\r\n"
        if self.rule.fault != "wrong-length":
            return head
        length = header(head, b"content-length")
        at = head.index(length, head.lower().index(b"content-length:"))
        return (head[:at] + b"%d" % (int(length) + self.rule.by) +
                head[at + len(length):])

    def send(self, data, counted):
        self.state.bytes[self.kind] += counted
        self.entry[4] += counted
        if self.body:
            self.body.send(data)
        else:
            self.transport.write(data)

    def on_response_end(self):
        self.busy = False
        if self.body:
            self.body.over = True
            if self.body.kept is not None:
                return
            self.body = None
        self.next_request()

    def server_lost(self):
        """The server hung up: so do we, when the client has what it sent."""
        self.server = None
        if self.body and self.body.kept is not None:
            return
        if not self.transport.is_closing():
            self.transport.close()

    def cut(self, hard):
        if hard:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()


async def control(state, reader, writer):
    """One request on the control port."""
    try:
        line = (await reader.readline()).split()
        length = 0
        while True:
            h = await reader.readline()
            if h in (b"\r\n", b""):
                break
            if h.lower().startswith(b"content-length:"):
                length = int(h.split(b":")[1])
        body = await reader.readexactly(length)
        answer = command(state, b" ".join(line[:2]).decode(), body)
        status = b"200 OK" if answer is not None else b"404 Not Found"
        data = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                     b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" %
                     (status, len(data), data))
        await writer.drain()
    finally:
        writer.close()


def command(state, what, body):
    if what == "GET /counts":
        return state.counts()
    if what == "POST /reset":
        counts = state.counts()
        state.reset()
        return counts
    if what == "GET /log":
        return list(state.log)
    if what == "POST /faults":
        state.rules = [Rule(r) for r in json.loads(body)]
        return len(state.rules)
    if what == "POST /release":
        return state.release()
    if what == "POST /upstream":
        host, _, port = json.loads(body).rpartition(":")
        state.upstream = (host, int(port))
        return True
    return None


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


async def serve(args):
    state = State(address(args.upstream))
    loop = asyncio.get_running_loop()
    data = await loop.create_server(lambda: Client(state),
                                    *address(args.listen), backlog=1024)
    ctl = await asyncio.start_server(lambda r, w: control(state, r, w),
                                     *address(args.control))
    print("ready", data.sockets[0].getsockname()[1],
          ctl.sockets[0].getsockname()[1], flush=True)
    stop = asyncio.Event()
    for s in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(s, stop.set)
    await stop.wait()


def main():
    p = argparse.ArgumentParser(description="counting S3 proxy")
    p.add_argument("--upstream", required=True)
    p.add_argument("--listen", default="127.0.0.1:0")
    p.add_argument("--control", default="127.0.0.1:0")
    asyncio.run(serve(p.parse_args()))


# What follows is for the programs that start the proxy.

def die_with_parent():
    """In a child before exec: it gets SIGKILL when its parent's thread ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


class S3Proxy:
    """A proxy in a process of its own."""

    def __init__(self, upstream, keep=False, log=None, host="127.0.0.1"):
        self.upstream = upstream
        err = open(log, "ab") if log else None
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "--upstream",
             upstream.replace("http://", ""), "--listen", host + ":0"],
            stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL,
            start_new_session=keep,
            preexec_fn=None if keep else die_with_parent)
        if err:
            err.close()
        words = self.process.stdout.readline().split()
        if len(words) != 3:
            raise RuntimeError("s3proxy did not start")
        self.port, self.control_port = int(words[1]), int(words[2])
        self.endpoint = "http://%s:%d" % (host, self.port)
        self.pid = self.process.pid

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.control_port,
                                       timeout=30)
        try:
            c.request(method, path,
                      json.dumps(body) if body is not None else None)
            r = c.getresponse()
            text = r.read()
            if r.status != 200:
                raise RuntimeError("s3proxy: %s %s: %d" %
                                   (method, path, r.status))
            return json.loads(text)
        finally:
            c.close()

    def counts(self):
        """{"requests": {kind: n}, "bytes": …, "status": …, "injected": …,
        "objects": how many different ones were got, "held": n}"""
        return self.ask("GET", "/counts")

    def gets(self):
        return self.counts()["requests"].get("get", 0)

    def held(self):
        return self.counts()["held"]

    def reset(self):
        """Starts to count anew; what was counted so far."""
        return self.ask("POST", "/reset")

    def log(self, kind=None):
        """[[kind, target, range, status, bytes], …], oldest first."""
        return [e for e in self.ask("GET", "/log") if kind in (None, e[0])]

    def inject(self, *faults):
        self.ask("POST", "/faults", list(faults))

    def clear(self):
        """No faults any more; what is held goes on."""
        self.ask("POST", "/faults", [])
        return self.ask("POST", "/release")

    def release(self):
        return self.ask("POST", "/release")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


if __name__ == "__main__":
    main()
