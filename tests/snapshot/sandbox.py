#!/usr/bin/env python3
"""What the snapshot is of: a Runtime API, a database of sorts, and between them the bootstrap.

    sandbox.py REPORTS BOOTSTRAP

REPORTS is a FIFO. It gets what has happened, as JSON, twice: when the bootstrap waits in /restore/next, and at its end. SIGUSR1
says that the sandbox is a restored one; it gets two events then, and SIGTERM.
"""

import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time

EVENT = json.dumps(
    {
        "version": "2.0",
        "rawPath": "/",
        "rawQueryString": "",
        "headers": {"host": "example.com"},
        "requestContext": {"http": {"method": "GET", "path": "/", "sourceIp": "192.0.2.1"}},
        "isBase64Encoded": False,
    }
).encode()

reports, bootstrap = sys.argv[1:]
lock = threading.Lock()
happened = []
connections = 0
events = 2
restored = threading.Event()


def note(**what):
    with lock:
        happened.append(what)


def report():
    with lock, open(reports, "w", encoding="utf-8") as fifo:
        json.dump(happened, fifo)


def new_connection():
    global connections
    with lock:
        connections += 1
        return connections


class RuntimeApi(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.connection_number = new_connection()

    def log_message(self, *_):
        pass

    def note_call(self, **more):
        note(to="lambda", connection=self.connection_number, path=self.path.removeprefix("/2018-06-01/runtime"), **more)

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        global events
        self.note_call()
        if self.path.endswith("/restore/next"):
            report()
            restored.wait()
            self.answer(200)
        elif events:
            events -= 1
            self.answer(
                200,
                EVENT,
                Lambda_Runtime_Aws_Request_Id=f"request-{events}",
                Lambda_Runtime_Deadline_Ms=str(int(time.time() * 1000) + 20_000),
            )
        else:
            runtime.terminate()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.note_call(body=json.loads(body))
        self.answer(202)


class Database(socketserver.StreamRequestHandler):
    def handle(self):
        number = new_connection()
        for line in self.rfile:
            note(to="database", connection=number, **json.loads(line))
            self.wfile.write(b"ok\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def await_end():
    note(exit=runtime.wait())
    report()
    # the other threads wait for calls that do not come
    os._exit(0)


# before any thread is: they all inherit it, and the bootstrap gets a mask of its own
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
for port, handler in (9001, RuntimeApi), (9002, Database):
    threading.Thread(target=Server(("127.0.0.1", port), handler).serve_forever, daemon=True).start()
runtime = subprocess.Popen([bootstrap], stdin=subprocess.DEVNULL)
threading.Thread(target=await_end).start()
signal.sigwait({signal.SIGUSR1})
note(restored=True)
restored.set()
