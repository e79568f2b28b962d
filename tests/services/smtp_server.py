"""A mail server on loopback that takes what it is told to take and keeps the rest out."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Mailbox:
    """What came in. `refusals` maps a command (`RCPT`, `DATA`) to the answer it gets instead of a good one."""

    port: int = 0
    sources: list[str] = field(default_factory=list)
    refusals: dict[str, str] = field(default_factory=dict)


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """Run a mail server for as long as the block lasts."""
    mailbox = Mailbox()

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say("220 test")
            for line in self.rfile:
                verb = line.decode().split(" ")[0].split(":")[0].strip().upper()
                if verb in mailbox.refusals:
                    self.say(mailbox.refusals[verb])
                elif verb == "DATA":
                    self.say("354 go on")
                    mailbox.sources.append(self.read_source())
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

        def say(self, answer: str) -> None:
            self.wfile.write(f"{answer}\r\n".encode())

        def read_source(self) -> str:
            lines: list[bytes] = []
            for line in self.rfile:
                if line == b".\r\n":
                    break
                lines.append(line)
            return b"".join(lines).decode()

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Conversation) as server:
        mailbox.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield mailbox
        server.shutdown()
