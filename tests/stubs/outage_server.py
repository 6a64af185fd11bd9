"""A server with an outage of exactly known length, as the positive control of the measurement.

Speaks as much of the reference system's interface as the load needs. One JSON line on standard
input says when and how: {"at_ns": ..., "for_ns": ..., "style": "refuse|stall|drop|503|tenth",
"only": ["POST", "PUT"], "client": "...", "times": 3, "pause_ns": ...}, where only (methods) and
client (the X-Client header that is hit) are optional and not for refuse, and times (1) is how often
it happens, with pauses between; one line on standard output says when each began and ended, and the
last one. Standard library only; it ends with its
standard input.
"""

import asyncio
import contextlib
import json
import os
import socket
import struct
import sys
import threading
import time


class Server:
    def __init__(self, port):
        self.port = port
        self.style = None  # of the outage under way
        self.over = asyncio.Event()
        self.over.set()
        self.tokens = []
        self.registers = {}
        self.connections = set()
        self.listener = None
        self.only = None  # of an outage of some requests: the HTTP methods that it hits
        self.client = None  # of an outage of one client: the name that it sends
        self.asked = self.dropped = 0

    async def listen(self):
        self.listener = await asyncio.start_server(
            self.serve, "127.0.0.1", self.port, reuse_address=True, backlog=512
        )
        self.port = self.listener.sockets[0].getsockname()[1]

    async def serve(self, reader, writer):
        self.connections.add(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path = head.split(b" ", 2)[:2]
                length = 0
                for line in head.split(b"\r\n")[1:]:
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = await reader.readexactly(length)
                hit = self.only is None or method.decode() in self.only
                hit = hit and (self.client is None or f"X-Client: {self.client}\r".encode() in head)
                if hit and self.style == "stall" and await self.gave_up(reader):
                    return
                if self.style == "tenth" and self.tenth():
                    return  # closed without a word
                await self.respond(writer, method, path, body, hit)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.connections.discard(writer)
            writer.close()

    async def gave_up(self, reader):
        """Hold the request to the end of the outage; True if the client went away before."""
        over = asyncio.ensure_future(self.over.wait())
        gone = asyncio.ensure_future(reader.read(1))  # no client of ours sends ahead
        await asyncio.wait({over, gone}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if gone.done():
            return True
        gone.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gone
        return False

    def tenth(self):
        """Count, and say whether this request is one of ten that get no answer."""
        self.asked += 1
        self.dropped += self.asked % 10 == 0
        return self.asked % 10 == 0

    async def respond(self, writer, method, path, body, hit):
        if hit and self.style == "503":
            self.send(writer, b"503 Service Unavailable", b"{}")
            return
        if hit and self.style == "drop":
            await asyncio.sleep(3600)  # the request is swallowed; nothing ever comes back
        if path == b"/log" and method == b"GET":
            answer = b"".join(b"%d 1\n" % token for token in self.tokens)
        elif path == b"/log":
            self.tokens.append(int(body))
            answer = b'{"node": "stub", "epoch": 1}'
        elif method == b"PUT":
            self.registers[path] = int(body)
            answer = b'{"node": "stub", "epoch": 1, "version": 1}'
        else:
            value = self.registers.get(path, 0)
            answer = b'{"node": "stub", "epoch": 1, "version": 1, "value": %d}' % value
        self.send(writer, b"200 OK", answer)

    def send(self, writer, status, body):
        writer.write(
            b"HTTP/1.1 %s\r\nX-Chaoskit-Node: stub\r\nX-Chaoskit-Epoch: 1\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (status, len(body), body)
        )

    async def outage(self, at_ns, for_ns, style, only=None, client=None):
        await until(at_ns)
        began = time.monotonic_ns()
        self.over.clear()
        self.style, self.only, self.client = style, only, client
        if style == "refuse":
            self.listener.close()
            for writer in list(self.connections):
                with contextlib.suppress(OSError):
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
        await until(began + for_ns)
        if style == "refuse":
            await self.listen()
        self.style = None
        self.over.set()
        return began, time.monotonic_ns()


async def until(at_ns):
    # An event would be late by the loop's rounding; the end of the outage must not be.
    while (left := at_ns - time.monotonic_ns()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(0.05, left / 1e9) if left > 2_000_000 else 0)


async def main():
    server = Server(0)
    await server.listen()
    print(json.dumps({"port": server.port}), flush=True)
    loop = asyncio.get_running_loop()
    orders = asyncio.Queue()

    def read():
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        order = await orders.get()
        what = order["for_ns"], order["style"], order.get("only"), order.get("client")
        at, spans = order["at_ns"], []
        for _ in range(order.get("times", 1)):
            spans.append(await server.outage(at, *what))
            at = spans[-1][1] + order.get("pause_ns", 0)
        began, ended = spans[-1]
        facts = {"began_ns": began, "ended_ns": ended, "dropped": server.dropped, "spans": spans}
        print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
