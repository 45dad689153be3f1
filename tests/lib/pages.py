"""A fake bucket for listings, fast: the objects p/0000000 and on, as many as it
is told.  Nothing of it can be read."""

import http.server
import threading
import urllib.parse

ROW = ("<Contents><Key>p/%07d</Key><Size>1</Size><ETag>&quot;%032x&quot;"
       "</ETag><LastModified>2026-11-23T05:00:00.000Z</LastModified>"
       "</Contents>")
MORE = ("<IsTruncated>true</IsTruncated><NextContinuationToken>%d"
        "</NextContinuationToken>")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        server.requests += 1
        query = urllib.parse.parse_qs(self.path.partition("?")[2])
        prefix = query.get("prefix", [""])[0]
        if prefix == "p/":
            self.answer(200, self.page(query))
        elif prefix == "" and "delimiter" in query:
            self.answer(200, "<CommonPrefixes><Prefix>p/</Prefix>"
                        "</CommonPrefixes>")
        else:
            self.answer(200, "")

    def do_HEAD(self):
        self.server.requests += 1
        self.answer(404, None)

    def page(self, query):
        first = int(query.get("continuation-token", ["0"])[0])
        last = min(first + int(query["max-keys"][0]), self.server.n)
        rows = "".join([ROW % (i, i) for i in range(first, last)])
        return rows if last == self.server.n else MORE % last + rows

    def answer(self, status, xml):
        body = b"" if xml is None else (
            "<ListBucketResult>%s</ListBucketResult>" % xml).encode()
        self.wfile.write(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%s" %
                         (status, len(body), body))

    def log_message(self, *args):
        pass


class Pages(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, n=0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.n = n
        self.requests = 0
        self.endpoint = "http://127.0.0.1:%d" % self.server_port
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()
