"""The login of docs/authentication.md with Python's `cryptography`: a client that shares nothing with ours.

login.py URL IDENTITY PRIVATE_KEY_PEM GATEWAY_PEM   the login password on stdin; prints the answer of the login
"""

import base64
import hashlib
import json
import os
import sys
import urllib.parse
import urllib.request

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)


def call(url, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"} if data else {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=20) as answer:
        return json.load(answer)


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def main(url, identity, key_file, gateway_file):
    with open(key_file, "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    with open(gateway_file, "rb") as file:
        gateway = serialization.load_pem_public_key(file.read())
    mine = os.urandom(64)
    sent = base64.b64encode(gateway.encrypt(mine, OAEP)).decode()
    query = urllib.parse.urlencode({"identity": identity, "clientChallenge": sent})
    first = call(f"{url}/authentication/login-challenges?{query}")
    if first["base64EncodedClientChallengeResponse"] != sha256(mine):
        sys.exit("this is not the gateway")
    theirs = base64.b64decode(first["base64EncodedChallenge"], validate=True)
    second = call(
        f"{url}/authentication/login",
        {
            "identity": identity,
            "password": sys.stdin.read().strip(),
            "base64EncodedChallengeHash": sha256(theirs),
            "base64EncodedChallengeResponse": sha256(key.decrypt(theirs, OAEP)),
        },
    )
    print(json.dumps(second))


main(*sys.argv[1:])
