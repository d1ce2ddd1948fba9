"""Makes forged-tokens.json: session tokens that hold and many that do not, signed by a second implementation (Python's
`cryptography`), the JSON written out by hand where a library would not write it.

Each row: `token`; `problem`, the code that whoever offers it alone is told, or null where it holds; `edge`, what an edge
that knows `token_keys` does at `now_secs`: `accept`, `refuse`, or `forward` (an unknown key id: only the origin can know).
"""
import base64, hashlib, hmac, json, pathlib
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey

NOW, ISSUER, LIFETIME = 1_790_000_000, "https://pay.example", 1800
ACTIVE, RETIRED, FOREIGN, UNKNOWN = b"\x07" * 32, b"\x08" * 32, b"\x09" * 32, b"\x0a" * 32
JTI = "c056b2d8-d6d1-4ea6-8752-e87f684b2903"
L = 2**252 + 27742317777372353535851937790883648493  # the order of edwards25519, RFC 8032 section 5.1


def b64(data):
    return base64.urlsafe_b64encode(data.encode() if isinstance(data, str) else data).decode().rstrip("=")


def public(seed):
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes(*raw)


def text(value):
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


HEADER = {"alg": "EdDSA", "typ": "JWT", "kid": "2"}
CLAIMS = {"iss": ISSUER, "aud": "scanvault", "sub": "merchant-25", "jti": JTI, "iat": NOW, "exp": NOW + LIFETIME,
          "cv": 3, "roles": ["EXTERNAL"]}


def signed(header=None, claims=None, seed=ACTIVE):
    """A token with this header and these claims, each an object or the text to be encoded."""
    over = b64(text(HEADER if header is None else header)) + "." + b64(text(CLAIMS if claims is None else claims))
    return over + "." + b64(Ed25519PrivateKey.from_private_bytes(seed).sign(over.encode()))


def header(**changes):
    return {name: value for name, value in {**HEADER, **changes}.items() if value is not None}


def claims(**changes):
    return {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}


def other_algorithm(alg, sign):
    over = b64(text(header(alg=alg))) + "." + b64(text(CLAIMS))
    return over + "." + b64(sign(over.encode()))


def hs256(key):
    return other_algorithm("HS256", lambda data: hmac.new(key, data, hashlib.sha256).digest())


def es256(data):
    # A real one is random, and this file is not. What counts is that it has the form and does not verify.
    return hashlib.sha512(b"es256" + data).digest()


GOOD = signed()
HEAD, BODY, SIGNATURE = GOOD.split(".")
RAW_SIGNATURE = base64.urlsafe_b64decode(SIGNATURE + "==")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def with_signature(raw):
    return f"{HEAD}.{BODY}.{b64(raw)}"


def stray_bits(part):
    """The same bytes for a careless decoder: the last digit's unused bits are set."""
    return part[:-1] + ALPHABET[ALPHABET.index(part[-1]) | 1]


def high_s():
    """The signature's second half plus the group's order: a second spelling of one signature (RFC 8032, 5.1.7)."""
    s = int.from_bytes(RAW_SIGNATURE[32:], "little") + L
    return with_signature(RAW_SIGNATURE[:32] + s.to_bytes(32, "little"))


def flipped(raw, at):
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]


UNSIGNED = b64(text(header(alg="none"))) + "." + b64(text(CLAIMS)) + "."
rows = []


def row(name, token, problem="invalid-or-expired-jwt", edge="refuse", **more):
    rows.append({"name": name, "token": token, "problem": problem, "edge": edge, **more})


def good(name, token, **session):
    held = {"account": "merchant-25", "id": JTI, "credentialVersion": 3, "roles": ["EXTERNAL"],
            "expiresAtSecs": NOW + LIFETIME, **session}
    row(name, token, None, "accept", session=held)


good("as it is issued", GOOD)
good("fields in another order", signed(dict(reversed(HEADER.items())), dict(reversed(CLAIMS.items()))))
good("white space in the JSON", signed(json.dumps(HEADER), json.dumps(CLAIMS, indent=1)))
good("by the key before", signed(header(kid="1"), seed=RETIRED))
good("issued as far ahead as clocks may differ", signed(claims=claims(iat=NOW + 5, exp=NOW + 1805)), expiresAtSecs=NOW + 1805)
good("in its last second with the tolerance", signed(claims=claims(iat=NOW - 1804, exp=NOW - 4)), expiresAtSecs=NOW - 4)
good("a shorter life", signed(claims=claims(exp=NOW + 1)), expiresAtSecs=NOW + 1)
good("a named account", signed(claims=claims(sub="vodacom-ussd", roles=["STK"])), account="vodacom-ussd", roles=["STK"])
good("a PSP", signed(claims=claims(sub="psp-42", cv=1)), account="psp-42", credentialVersion=1)

# The signature.
row("algorithm none, without a signature", UNSIGNED, "invalid-jwt")
row("algorithm none, with a signature of nothing", UNSIGNED + "AA")
row("algorithm none, rightly signed", signed(header(alg="none")))
row("algorithm NONE", signed(header(alg="NONE")))
row("algorithm EDDSA", signed(header(alg="EDDSA")))
row("algorithm Ed25519 (RFC 9864)", signed(header(alg="Ed25519")))
row("HS256 with the public key's bytes", hs256(public(ACTIVE)))
row("HS256 with the public key's text", hs256(b64(public(ACTIVE)).encode()))
row("EdDSA in the header, HMAC in the signature",
    f"{HEAD}.{BODY}." + b64(hmac.new(public(ACTIVE), f"{HEAD}.{BODY}".encode(), hashlib.sha512).digest()))
row("Ed448", other_algorithm("EdDSA", Ed448PrivateKey.from_private_bytes(b"\x07" * 57).sign))
row("the form of ES256", other_algorithm("ES256", es256))
row("EdDSA in the header, the form of ES256 in the signature", other_algorithm("EdDSA", es256))
row("another key under a known id", signed(seed=FOREIGN))
row("the key before under the active id", signed(seed=RETIRED))
row("the active key under the id before", signed(header(kid="1")))
row("an unknown key id", signed(header(kid="9"), seed=UNKNOWN), edge="forward")
row("the active key under an unknown id", signed(header(kid="3")), edge="forward")
row("a key id with a leading zero", signed(header(kid="02")), edge="forward")
row("an empty key id", signed(header(kid="")), edge="forward")
row("a path for a key id", signed(header(kid="../../dev/null")), edge="forward")
row("without a key id", signed(header(kid=None)))
row("a number for a key id", signed(header(kid=2)))
row("the signature of another token", GOOD.rsplit(".", 1)[0] + "." + signed(claims=claims(cv=4)).rsplit(".", 1)[1])
row("claims of another account under a right signature", f"{HEAD}.{b64(text(claims(sub='merchant-26')))}.{SIGNATURE}")
row("the signature's first half changed", with_signature(flipped(RAW_SIGNATURE, 0)))
row("the signature's second half changed", with_signature(flipped(RAW_SIGNATURE, 40)))
row("the signature's second half plus the group's order", high_s())
row("a signature of zeros", with_signature(bytes(64)))
row("a small-order point and zero", with_signature(b"\x01" + bytes(63)))
row("the signature cut short", with_signature(RAW_SIGNATURE[:63]))
row("the signature a byte too long", with_signature(RAW_SIGNATURE + b"\x00"))
row("the signature twice", with_signature(RAW_SIGNATURE * 2))

# The form.
row("two parts", f"{HEAD}.{BODY}", "invalid-jwt")
row("four parts", GOOD + "." + SIGNATURE, "invalid-jwt")
row("five parts, as of an encrypted token", f"{HEAD}..{BODY}.{SIGNATURE}.AA", "invalid-jwt")
row("an empty part", f".{BODY}.{SIGNATURE}", "invalid-jwt")
row("padding", f"{HEAD}.{BODY}.{SIGNATURE}==", "invalid-jwt")
row("the alphabet of plain base64", f"{HEAD}.{BODY}.+/{SIGNATURE[2:]}", "invalid-jwt")
row("stray bits in the signature's last digit", f"{HEAD}.{BODY}.{stray_bits(SIGNATURE)}")
row("a line break in a part", f"{HEAD}.{BODY[:10]}\n{BODY[10:]}.{SIGNATURE}", "invalid-jwt")
row("a claims part that is no JSON", signed(claims="merchant-25"))
row("a claims part that is a list", signed(claims=json.dumps([CLAIMS])))
row("text after the claims", signed(claims=text(CLAIMS) + "{}"))
row("a zero byte after the claims", signed(claims=text(CLAIMS) + "\x00"))
row("over the length", signed(claims=text(CLAIMS) + " " * 2000))
row("a header that asks for compression", signed(header(zip="DEF")))
row("a header with a key of its own", signed(header(jwk={"kty": "OKP", "crv": "Ed25519", "x": b64(public(FOREIGN))}), seed=FOREIGN))
row("a header with a key's address", signed(header(jku="https://evil.example/keys"), seed=FOREIGN))
row("a header with a critical extension", signed(header(crit=["b64"], b64=False)))
row("another type", signed(header(typ="at+jwt")))
row("without a type", signed(header(typ=None)))
row("the type in lower case", signed(header(typ="jwt")))
row("an algorithm given twice", signed('{"alg":"none","alg":"EdDSA","typ":"JWT","kid":"2"}'))
row("a subject given twice", signed(claims=text(CLAIMS).replace('"sub"', '"sub":"merchant-26","sub"')))
row("a version given twice", signed(claims=text(CLAIMS)[:-1] + ',"cv":4}'))
row("a claim of its own", signed(claims=claims(admin=True)))
row("a start (nbf)", signed(claims=claims(nbf=NOW)))

# The claims.
row("expired", signed(claims=claims(iat=NOW - 1805, exp=NOW - 5)))
row("expired long ago", signed(claims=claims(iat=NOW - 100_000, exp=NOW - 98_200)))
row("issued too far ahead", signed(claims=claims(iat=NOW + 6, exp=NOW + 1806)))
row("a longer life", signed(claims=claims(exp=NOW + LIFETIME + 1)))
row("a life without an end", signed(claims=claims(exp=2**53)))
row("no end", signed(claims=claims(exp=None)))
row("no beginning", signed(claims=claims(iat=None)))
row("an end before its beginning", signed(claims=claims(iat=NOW, exp=NOW - 1)))
row("no life at all", signed(claims=claims(exp=NOW)))
row("an end as text", signed(claims=claims(exp=str(NOW + LIFETIME))))
row("an end with a fraction", signed(claims=claims(exp=NOW + 0.5)))
row("a negative beginning", signed(claims=claims(iat=-1)))
row("an end over 64 bits", signed(claims=text(CLAIMS).replace(str(NOW + LIFETIME), str(2**64 + NOW + LIFETIME))))
row("another issuer", signed(claims=claims(iss="https://evil.example")))
row("an issuer with a slash", signed(claims=claims(iss=ISSUER + "/")))
row("an issuer in upper case", signed(claims=claims(iss=ISSUER.upper())))
row("without an issuer", signed(claims=claims(iss=None)))
row("another audience", signed(claims=claims(aud="scanvault-admin")))
row("a list of audiences", signed(claims=claims(aud=["scanvault", "evil"])))
row("without an audience", signed(claims=claims(aud=None)))
row("without a session", signed(claims=claims(jti=None)))
row("a session id in upper case", signed(claims=claims(jti=JTI.upper())))
row("a session id that is none", signed(claims=claims(jti="' OR 1=1 --")))
row("without a subject", signed(claims=claims(sub=None)))
row("a subject in another spelling", signed(claims=claims(sub="MERCHANT_25")))
row("a subject that is no account", signed(claims=claims(sub="merchant-25 psp-1")))
row("without a version", signed(claims=claims(cv=None)))
row("a negative version", signed(claims=claims(cv=-1)))
row("a version as text", signed(claims=claims(cv="3")))
row("without roles", signed(claims=claims(roles=None)))
row("an empty list of roles", signed(claims=claims(roles=[])))
row("an unknown role", signed(claims=claims(roles=["EXTERNAL", "ADMIN"])))
row("a role as text", signed(claims=claims(roles="EXTERNAL")))

keys = [("2", ACTIVE), ("1", RETIRED)]
out = {
    "source": "vectors/forged-tokens.py: RFC 7515, RFC 8032, RFC 8037; keys are test seeds, byte 7 and byte 8 repeated",
    "now_secs": NOW,
    "issuer": ISSUER,
    "token_keys": f"{ISSUER} " + ",".join(f"{name}={b64(public(seed))}" for name, seed in keys),
    "seeds": {name: b64(seed) for name, seed in keys},
    "rows": rows,
}
assert len({row["name"] for row in rows}) == len(rows) and len({row["token"] for row in rows}) == len(rows)
pathlib.Path(__file__).with_name("forged-tokens.json").write_text(json.dumps(out, indent=1) + "\n")
print(len(rows), "rows,", sum(row["problem"] is None for row in rows), "of them good")
