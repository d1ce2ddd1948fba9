"""Writes audit.json and audit-export.jsonl: the audit chain, made from its description by a second implementation.

The description is that of origin/src/audit/mod.rs and export.rs; only Python's standard library and `cryptography`
(OpenSSL) are used, nothing of the Rust code. The files are checked in; run this again only to add vectors: a change of
an old one is a change of a final format.
"""

import hashlib
import hmac
import json
import pathlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = 1_767_225_600_000
KEY_ID = 2
AUDIT_KEY = bytes(range(32))
SEED = hmac.new(AUDIT_KEY, b"scanvault/audit-signing/v1\0", hashlib.sha256).digest()
PRIVATE = Ed25519PrivateKey.from_private_bytes(SEED)


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Chain:
    def __init__(self, chain_id, process, started_at_ms):
        self.row = {"id": chain_id.hex(), "process": process, "startedAtMs": started_at_ms}
        self.id, self.hash, self.links = chain_id, bytes(32), []

    def started(self):
        return {"action": "process.started", "actor": "origin", "process": self.row["process"],
                "startedAtMs": self.row["startedAtMs"], "version": "0.1.0"}

    def link(self, at_ms, entries, signed):
        text = compact(entries)
        raw, number = text.encode(), len(self.links) + 1
        self.hash = hashlib.sha256(
            b"scanvault/audit-link/v1\0" + self.id + struct.pack(">QQ", number, at_ms) + self.hash
            + struct.pack(">I", len(raw)) + raw
        ).digest()
        signature = PRIVATE.sign(b"scanvault/audit-signature/v1\0" + self.hash).hex() if signed else None
        self.links.append({"number": number, "atMs": at_ms, "entries": text, "hash": self.hash.hex(),
                           "keyId": KEY_ID if signed else None, "signature": signature})

    def head(self):
        return {"chain": self.id.hex(), "number": len(self.links), "hash": self.hash.hex()}


def main():
    signing = {"action": "audit.signing", "actor": "origin"}
    first = Chain(bytes([0x0A] * 16), "host-1/a/17", NOW)
    first.link(NOW + 5, [first.started(), {"action": "vault.share.accepted", "actor": "owner", "share": 2}], False)
    first.link(NOW + 9, [{"action": "vault.unsealed", "actor": "owner"}, {**signing, "signed": True}], True)
    first.link(NOW + 10, [{"action": "card.read", "actor": "merchant-25", "token": "ab" * 32, "purpose": "capture é\n\"1\""}], True)
    first.link(NOW + 11, [{"action": "vault.sealed", "actor": "owner"}, {**signing, "signed": False}], False)
    second = Chain(bytes([0xF1] * 16), "host-2/a/4", NOW + 20)
    second.link(NOW + 21, [second.started(), {"action": "vault.unsealed", "actor": "owner"}, {**signing, "signed": True}], True)
    second.link(NOW + 22, [{"action": "audit.checkpoint", "actor": "origin", "heads": [first.head()]}], True)

    public = PRIVATE.public_key().public_bytes_raw().hex()
    lines = [{"header": {"format": "scanvault-audit/v1", "exportedAtMs": NOW + 30,
                         "publicKeys": [{"keyId": KEY_ID, "publicKey": public}]}}]
    for chain in (first, second):
        lines.append({"chain": chain.row})
        lines.extend({"link": link} for link in chain.links)
    lines.append({"end": {"chains": 2, "links": len(first.links) + len(second.links)}})
    folder = pathlib.Path(__file__).parent
    (folder / "audit-export.jsonl").write_text("".join(compact(line) + "\n" for line in lines))
    vectors = {
        "audit_key": AUDIT_KEY.hex(), "seed": SEED.hex(), "key_id": KEY_ID, "public_key": public,
        "first": {"row": first.row, "links": first.links}, "second": {"row": second.row, "links": second.links},
    }
    (folder / "audit.json").write_text(json.dumps(vectors, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
