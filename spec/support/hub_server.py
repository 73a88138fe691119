"""A stand-in of the hub on this machine, for spec/pull_spec.lua: hub_server.py FOLDER LOG [FAULT].

Serves FOLDER as the repository Qwen/Qwen3-TTS-12Hz-0.6B-Base, safetensors files as large ones. Its
first line on standard output is the port. Each request is a line in LOG: method, path, range.
FAULT:
  token     asks for the token `secret`
  cut       ends the first answer of more than 10 MB a byte before its end
  damaged   sends weights with one bit that is another one
  size:N    says that weights have N bytes
"""
import hashlib
import http.server
import json
import os
import sys

FOLDER, LOG, FAULT = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else ""
NAME, COMMIT = "Qwen/Qwen3-TTS-12Hz-0.6B-Base", "0123456789abcdef0123456789abcdef01234567"


def read(name):
    with open(os.path.join(FOLDER, name), "rb") as f:
        return f.read()


def describe(name):
    data = read(name)
    blob = b"blob %d\0" % len(data) + data
    entry = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(blob).hexdigest()}
    if name.endswith(".safetensors"):
        size = int(FAULT[5:]) if FAULT.startswith("size:") else len(data)
        entry["size"] = size
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 130}
    return entry


FILES = {}
for folder, _, names in os.walk(FOLDER):
    for file in names:
        path = os.path.relpath(os.path.join(folder, file), FOLDER)
        FILES[path] = describe(path)
cuts = 1 if FAULT == "cut" else 0


class Hub(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body, headers):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def json(self, value, code=200):
        body = json.dumps(value).encode()
        self.answer(code, body, {"Content-Type": "application/json", "Content-Length": len(body)})

    def file(self, name):
        global cuts
        entry, data = FILES[name], read(name)
        large = "lfs" in entry
        if large and FAULT == "damaged":
            data = data[:-1] + bytes([data[-1] ^ 1])
        first = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        part = data[first:]
        headers = {"X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes", "Content-Length": len(part)}
        if self.command == "HEAD":
            headers["Content-Length"] = entry["size"]
        if large:
            headers["X-Linked-Etag"] = headers["ETag"] = '"%s"' % entry["lfs"]["oid"]
            headers["X-Linked-Size"] = entry["size"]
        else:
            headers["ETag"] = '"%s"' % entry["oid"]
        if first:
            headers["Content-Range"] = "bytes %d-%d/%d" % (first, len(data) - 1, len(data))
        if len(part) > 1e7 and cuts and self.command == "GET":  # hf writes pieces of 10 MB
            cuts -= 1
            part = part[:-1]
            self.close_connection = True
        self.answer(206 if first else 200, part, headers)

    def do_GET(self):
        path = self.path.split("?")[0]
        with open(LOG, "a") as log:
            print(self.command, path, self.headers.get("Range") or "-", file=log)
        if FAULT == "token" and self.headers.get("Authorization") != "Bearer secret":
            return self.json({"error": "Access is restricted"}, 401)
        if path.startswith("/%s/resolve/" % NAME):
            name = path.split("/resolve/")[1].split("/", 1)[1]
            if name in FILES:
                return self.file(name)
        elif path.startswith("/api/models/%s/tree/" % NAME):
            return self.json(list(FILES.values()))
        elif path.startswith("/api/models/%s" % NAME):
            siblings = [{"rfilename": name} for name in FILES]
            return self.json({"id": NAME, "modelId": NAME, "sha": COMMIT, "siblings": siblings})
        return self.json({"error": "Repository not found"}, 404)

    do_HEAD = do_GET


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
print(server.server_address[1], flush=True)
server.serve_forever()
