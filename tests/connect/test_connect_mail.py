"""Mail through Apprise to a loopback SMTP server: the message, its link, and nothing that a mail program would run."""

import email
import email.policy
import re
import socketserver
import threading
from contextlib import contextmanager

import payloads
from hooked import SECRET, deliver, hooked, until, worked_off


@contextmanager
def post_office():
    """An SMTP server that keeps what it gets."""
    letters = []

    class Clerk(socketserver.StreamRequestHandler):
        def handle(self):
            self.say("220 here")
            while line := self.rfile.readline().decode().strip():
                word = line.upper().split(":")[0].split(" ")[0]
                if word == "DATA":
                    self.say("354 go on")
                    text = b""
                    while (more := self.rfile.readline()) != b".\r\n":
                        text += more
                    letters.append(email.message_from_bytes(text, policy=email.policy.default))
                    self.say("250 kept")
                elif word == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 yes")

        def say(self, text):
            self.wfile.write(f"{text}\r\n".encode())

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Clerk)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_address[1], letters
    finally:
        server.shutdown()
        server.server_close()


def test_a_mail_says_what_waits_and_its_link_decides(tmp_path):
    hooks = {"am": {"kind": "alertmanager", "secret": SECRET}}
    one = payloads.alert()
    one["annotations"]["summary"] = "<img src=x onerror=alert(1)> <script>alert(1)</script> broken"
    with post_office() as (port, letters):
        url = f"mailto://127.0.0.1:{port}?from=agent@example.org&to=ada@example.org&mode=insecure"
        notify = {"ada": {"kind": "apprise", "url": url, "approver": "ada"}}
        with hooked(tmp_path, hooks, notify=notify, public_url="http://agent.example") as service:
            deliver(service, "alertmanager", payloads.alertmanager(one), name="am")
            worked_off(service)
            letter = until(lambda: letters and letters[0])
            assert letter["To"] == "ada@example.org"
            assert letter["Subject"].startswith("Approval wanted: ")
            bodies = [part.get_content() for part in letter.walk() if part.get_content_maintype() == "text"]
            assert bodies
            assert not [body for body in bodies if "<script" in body or "<img" in body]
            link = re.search(r"http://agent\.example(/links/[\w.-]+)", bodies[0].replace("&#46;", "."))[1]
            assert "Decide, as ada" in bodies[0].replace("&nbsp;", " ")
            assert service.http.get(link).status_code == 200
