"""Writes formats.json: our own byte formats, made from their descriptions by a second implementation.

Only Python's standard library and `cryptography` (OpenSSL) are used, nothing of the Rust code; XAES-256-GCM
is built here from C2SP's text over AES-ECB and AES-GCM. The file is checked in; run this again only to
add vectors: a change of an old one is a change of a final format.
"""

import base64
import hashlib
import hmac
import io
import json
import pathlib
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def xaes_seal(key, nonce, plaintext, aad):
    ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    block = int.from_bytes(ecb.update(bytes(16)))
    k1 = (block << 1) & ((1 << 128) - 1)
    if block >> 127:
        k1 ^= 0b10000111
    derived = b""
    for counter in (1, 2):
        message = int.from_bytes(bytes([0, counter]) + b"X\0" + nonce[:12])
        derived += ecb.update((message ^ k1).to_bytes(16))
    return AESGCM(derived).encrypt(nonce[12:], plaintext, aad)


def check_against_c2sp():
    """The accumulated test of C2SP's XAES-256-GCM.md: 10,000 random messages, one hash."""
    stream = io.BytesIO(hashlib.shake_128(b"").digest(10_000 * (32 + 24 + 2 * 256)))
    accumulated = hashlib.shake_128()
    for _ in range(10_000):
        key, nonce = stream.read(32), stream.read(24)
        plaintext = stream.read(stream.read(1)[0])
        accumulated.update(xaes_seal(key, nonce, plaintext, stream.read(stream.read(1)[0])))
    assert accumulated.hexdigest(32) == "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"


def envelope(key, key_id, nonce, plaintext, account, table, row, column, row_version):
    fields = [
        b"\x01", account.encode(), table.encode(), row.encode(), column.encode(),
        struct.pack(">I", key_id), struct.pack(">Q", row_version),
    ]
    aad = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return b"\x01" + struct.pack(">I", key_id) + nonce + xaes_seal(key, nonce, plaintext, aad)


def share_vector(set_id, generation, index, y):
    body = b"\x01" + set_id + struct.pack(">HB", generation, index) + y
    checksum = hashlib.sha256(b"scanvault/share-checksum/v1\0" + body).digest()[:4]
    symbols = base64.b32encode(body + checksum).decode().lower().rstrip("=")
    groups = [symbols[at:at + 6] for at in range(0, len(symbols), 6)]
    kept = hashlib.sha256(b"scanvault/share-hash/v1\0" + set_id + struct.pack(">HB", generation, index) + y)
    return {
        "set_id": set_id.hex(), "generation": generation, "index": index, "y": y.hex(),
        "text": "-".join(["svshare1", *groups]), "hash": kept.hexdigest(),
    }


def envelope_vector(key, key_id, nonce, plaintext, context):
    sealed = envelope(key, key_id, nonce, plaintext, **context)
    return {
        "key": key.hex(), "key_id": key_id, "nonce": nonce.hex(), "plaintext": plaintext.hex(),
        "context": context, "envelope": sealed.hex(),
    }


def attempt_vector(key, code, random, expiry):
    fields = random + struct.pack(">Q", expiry)
    mac = hmac.digest(key, b"scanvault/attempt/v1\0" + code.encode() + fields, "sha256")[:16]
    text = base64.urlsafe_b64encode(fields + mac).decode().rstrip("=")
    return {"key": key.hex(), "code": code, "random": random.hex(), "expires": expiry, "id": text}


def fingerprint_vector(key, account, pan):
    message = b"scanvault/fingerprint/v1\0" + struct.pack(">I", len(account)) + account.encode() + pan.encode()
    return {"key": key.hex(), "account": account, "pan": pan, "fingerprint": hmac.digest(key, message, "sha256").hex()}


def main():
    check_against_c2sp()
    up = lambda start, length: bytes((start + at) % 256 for at in range(length))
    place = {"account": "merchant-25", "table": "cards", "row": "tok_1", "column": "pan", "row_version": 7}
    wrapped = {"account": "", "table": "vault_keys", "row": "data/1", "column": "active", "row_version": 1767225600000}
    root = {"account": "", "table": "vault_root", "row": up(1, 16).hex(), "column": "key", "row_version": 2}
    vectors = {
        "source": "origin/vectors/generate.py (Python, cryptography over OpenSSL)",
        "shares": [share_vector(up(1, 16), 0, 1, up(100, 32)), share_vector(up(240, 16), 65535, 255, bytes(32))],
        "envelopes": [
            envelope_vector(up(0, 32), 1, up(32, 24), b"4111111111111111", place),
            envelope_vector(up(0, 32), 4294967295, up(200, 24), b"", place | {"account": "", "row": "é"}),
            envelope_vector(up(7, 32), 0, up(3, 24), up(50, 32), wrapped),
            envelope_vector(up(9, 32), 0, up(4, 24), up(7, 32), root),
        ],
        "attempts": [attempt_vector(up(5, 32), "0123456789", up(60, 16), 1767225600)],
        "fingerprints": [fingerprint_vector(up(6, 32), "merchant-25", "4111111111111111")],
    }
    path = pathlib.Path(__file__).with_name("formats.json")
    path.write_text(json.dumps(vectors, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
