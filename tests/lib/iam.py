"""A fake of those who give out keys: the security token service, the metadata
of a machine (IMDSv2) and of a container.  On loopback, in a thread.

`keys` is what it gives, as (access key, secret key, seconds they are valid);
`token` what must be shown for it.  `asked` counts questions that were answered
with keys, `refused` those that were not."""

import http.server
import json
import threading
import time
import urllib.parse

ROLE = "a-role"
SESSION = "session-of-the-metadata"


def when(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(
        time.time() + seconds))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def answer(self, status, body):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, code):
        self.server.iam.refused += 1
        self.answer(403, "<E><Code>%s</Code></E>" % code)

    def give(self, form):
        iam = self.server.iam
        if iam.down:
            iam.refused += 1
            self.answer(500, "")
            return
        iam.asked += 1
        key, secret, seconds = iam.keys
        self.answer(200, form.format(key=key, secret=secret,
                                     when=when(seconds)))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {k: v[0] for k, v in urllib.parse.parse_qs(body).items()}
        if form.get("Action") != "AssumeRoleWithWebIdentity" or \
                form.get("Version") != "2011-06-15" or \
                not form.get("RoleArn", "").startswith("arn:aws:iam::"):
            self.refuse("ValidationError")
        elif form.get("WebIdentityToken") != self.server.iam.token:
            self.refuse("InvalidIdentityToken")
        else:
            self.give("<AssumeRoleWithWebIdentityResponse><Credentials>"
                      "<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>"
                      "{secret}</SecretAccessKey><Expiration>{when}"
                      "</Expiration></Credentials>"
                      "</AssumeRoleWithWebIdentityResponse>")

    def do_PUT(self):
        if self.path == "/latest/api/token" and \
                self.headers["X-aws-ec2-metadata-token-ttl-seconds"]:
            self.answer(200, SESSION)
        else:
            self.refuse("BadRequest")

    def do_GET(self):
        roles = "/latest/meta-data/iam/security-credentials/"
        form = '{{"Code":"Success","AccessKeyId":"{key}","SecretAccessKey":' \
            '"{secret}","Expiration":"{when}"}}'
        if self.path.startswith("/container"):
            if self.headers["Authorization"] == self.server.iam.token:
                self.give(form)
            else:
                self.refuse("AccessDenied")
        elif self.headers["X-aws-ec2-metadata-token"] != SESSION:
            self.refuse("Unauthorized")
        elif self.path == roles:
            self.answer(200, ROLE)
        elif self.path == roles + ROLE:
            self.give(form)
        else:
            self.refuse("NotFound")


class Iam:
    def __init__(self, key, secret, seconds=3600, token="a.token"):
        self.keys = (key, secret, seconds)
        self.token = token
        self.asked = self.refused = 0
        self.down = False
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Handler)
        self.server.iam = self
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,),
                         daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
