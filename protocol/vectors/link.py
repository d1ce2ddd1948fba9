"""Makes link.json: the link signature by a second implementation (Python's hmac, the base written out by hand)."""
import base64, hashlib, hmac, json, pathlib

body = '{"merchantReference":"demo","amount":10.00}'
digest = "sha-256=:" + base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() + ":"
names = ["@method", "@authority", "@path", "@query", "content-digest", "scanvault-host", "scanvault-client",
         "scanvault-request-id", "scanvault-credential", "authorization", "content-type"]
values = ["POST", "origin.example:8443", "/pluto/code/create", "?", digest, "pay.example", "203.0.113.7",
          "0123456789abcdef0123456789abcdef", "unverified", "Basic bWVyY2hhbnQtMjU6eA==", "application/json"]
nonce = base64.urlsafe_b64encode(b"\x01" * 16).decode().rstrip("=")
params = ("(" + " ".join(f'"{n}"' for n in names) + ")" +
          f';created=1790000000;nonce="{nonce}";keyid="edge-1";alg="hmac-sha256";tag="a"')
base = "\n".join(f'"{n}": {v}' for n, v in zip(names, values)) + f'\n"@signature-params": {params}'
mac = hmac.new(b"\x07" * 32, base.encode(), hashlib.sha256).digest()
out = {"source": "vectors/link.py, after RFC 9421 section 2.5 and 3.3.3", "body": body, "contentDigest": digest,
       "signatureInput": "link=" + params, "signature": "link=:" + base64.b64encode(mac).decode() + ":"}
pathlib.Path(__file__).with_name("link.json").write_text(json.dumps(out, indent=2) + "\n")
