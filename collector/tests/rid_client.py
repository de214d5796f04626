#!/usr/bin/env python3
"""A RID system written from RFC 6545, RFC 6546 and RFC 5070 alone, with the standard library alone.

It puts one TraceRequest with one packet to a domain, waits for what comes back (in the response, or later by callback),
and prints what it understood as JSON. It knows nothing of Ashiato: neither its types nor its extensions.
"""

import argparse
import http.client
import http.server
import json
import queue
import ssl
import sys
import threading
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

RID = "{urn:ietf:params:xml:ns:iodef-rid-2.0}"
IODEF1 = "{urn:ietf:params:xml:ns:iodef-1.0}"

REQUEST = """<?xml version="1.0" encoding="UTF-8"?>
<iodef-rid:RID lang="en" xmlns:iodef-rid="urn:ietf:params:xml:ns:iodef-rid-2.0"
  xmlns:iodef="urn:ietf:params:xml:ns:iodef-1.0">
 <iodef-rid:RIDPolicy MsgType="TraceRequest" MsgDestination="RIDSystem">
  <iodef-rid:PolicyRegion region="IntraConsortium"/>
  <iodef:Node><iodef:NodeName>{to}</iodef:NodeName></iodef:Node>
  <iodef-rid:TrafficType type="Attack"/>
  <iodef:IncidentID name={me}>{id}</iodef:IncidentID>
  <iodef-rid:ReportSchema Version="1.0" XMLSchemaID="urn:ietf:params:xml:ns:iodef-1.0">
   <iodef-rid:XMLDocument dtype="xml" meaning="xml">
    <iodef:IODEF-Document lang="en">
     <iodef:Incident purpose="traceback" restriction="need-to-know">
      <iodef:IncidentID name={me}>{id}</iodef:IncidentID>
      <iodef:ReportTime>{seen}</iodef:ReportTime>
      <iodef:Assessment><iodef:Impact type="dos" severity="medium"/></iodef:Assessment>
      <iodef:Contact role="creator" type="organization">
       <iodef:ContactName>{name}</iodef:ContactName>
      </iodef:Contact>
      <iodef:EventData>
       <iodef:Record><iodef:RecordData>
        <iodef:DateTime>{seen}</iodef:DateTime>
        <iodef:RecordItem dtype="ipv4-packet">{packet}</iodef:RecordItem>
       </iodef:RecordData></iodef:Record>
      </iodef:EventData>
     </iodef:Incident>
    </iodef:IODEF-Document>
   </iodef-rid:XMLDocument>
  </iodef-rid:ReportSchema>
 </iodef-rid:RIDPolicy>
</iodef-rid:RID>
"""


def understand(body):
    """What a message says, as far as RFC 6545 goes."""
    root = ET.fromstring(body)
    if root.tag != RID + "RID":
        raise ValueError(f"no RID message: {root.tag}")
    policy = root.find(RID + "RIDPolicy")
    said = {
        "type": policy.get("MsgType"),
        "region": policy.find(RID + "PolicyRegion").get("region"),
        "id": policy.findtext(IODEF1 + "IncidentID"),
        "to": policy.findtext(f"{IODEF1}Node/{IODEF1}NodeName"),
    }
    status = root.find(RID + "RequestStatus")
    if status is not None:
        said["status"] = status.get("AuthorizationStatus")
        said["justification"] = status.get("Justification")
    source = root.find(RID + "IncidentSource")
    if source is not None:
        said["found"] = source.findtext(RID + "SourceFound") in ("true", "1")
        said["source"] = [node.text for node in source.iter(IODEF1 + "NodeName")]
    # The provider path: systems between, in whichever version of IODEF the document is.
    said["path"] = [
        [address.get("category"), address.text]
        for system in root.iter()
        if local(system) == "System" and system.get("category") == "intermediate"
        for address in system.iter()
        if local(address) == "Address"
    ]
    return said


def local(element):
    return element.tag.rpartition("}")[2]


class Pinned:
    """TLS with certificates on both sides; the peer's must be the one that is known."""

    def __init__(self, options):
        with open(options.peer_certificate, encoding="ascii") as file:
            self.pinned = ssl.PEM_cert_to_DER_cert(file.read())
        self.options = options

    def context(self, protocol):
        context = ssl.SSLContext(protocol)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(self.options.peer_authority)
        context.load_cert_chain(self.options.certificate, self.options.key)
        return context

    def check(self, sock):
        if sock.getpeercert(binary_form=True) != self.pinned:
            raise ssl.SSLError("the peer shows another certificate than the pinned one")


class Callback(http.server.BaseHTTPRequestHandler):
    """The listening end, for answers that come later."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(204 if self.path == "/" else 404)
        self.end_headers()

    do_HEAD = do_GET

    def do_POST(self):
        self.server.pinned.check(self.connection)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        token = self.headers.get("RID-Callback-Token")
        self.server.came.put((token, body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def listen(options, pinned):
    host, _, port = options.listen.rpartition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), Callback)
    server.socket = pinned.context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(server.socket, server_side=True)
    server.pinned, server.came = pinned, queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def call(options, pinned, method, path, body=None, headers=None):
    connection = http.client.HTTPSConnection(
        options.peer, timeout=options.patience, context=pinned.context(ssl.PROTOCOL_TLS_CLIENT)
    )
    connection.connect()
    pinned.check(connection.sock)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    came = response.status, response.headers, response.read()
    connection.close()
    return came


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("peer", "peer-certificate", "peer-authority", "certificate", "key", "listen"):
        parser.add_argument("--" + name, required=True)
    for name in ("me", "to", "id", "packet", "seen"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--patience", type=float, default=20)
    options = parser.parse_args()
    pinned = Pinned(options)
    server = listen(options, pinned)
    outcome = {
        "alive": call(options, pinned, "GET", "/")[0],
        "elsewhere": call(options, pinned, "POST", "/other", b"", {"Content-Type": "text/xml"})[0],
        "callbacks": [],
    }
    request = REQUEST.format(
        to=escape(options.to), me=quoteattr(options.me), name=escape(options.me), id=escape(options.id),
        packet=options.packet, seen=options.seen,
    )
    status, headers, body = call(
        options, pinned, "POST", "/", request.encode(), {"Content-Type": "text/xml"}
    )
    outcome["status"] = status
    if status == 200:
        outcome["answer"] = understand(body)
    elif status == 202:
        # Told now, so that whoever has to agree can.
        print(json.dumps({"waiting": True}), flush=True)
        token = headers["RID-Callback-Token"]
        outcome["empty"] = body == b""
        while "answer" not in outcome:
            came, body = server.came.get(timeout=options.patience)
            said = understand(body)
            outcome["callbacks"].append({"token_is_ours": came == token, "type": said["type"]})
            if said.get("status") != "Pending":
                outcome["answer"] = said
    else:
        outcome["body"] = body.decode(errors="replace")
    print(json.dumps(outcome), flush=True)


if __name__ == "__main__":
    sys.exit(main())
