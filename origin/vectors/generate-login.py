"""Writes login.json: what the two halves of a login encrypt for each other, by two other implementations.

OpenSSL's command line and Python's `cryptography` make the ciphertexts (RSA/ECB/OAEPWithSHA-1AndMGF1Padding of the
reference), nothing of the Rust code. OAEP is random, so every run writes another file: it is checked in, and run again
only to add vectors. The keys are for tests and open nothing.
"""

import base64
import hashlib
import json
import pathlib
import secrets
import subprocess
import tempfile

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


def b64(raw):
    return base64.b64encode(raw).decode()


def spki(public):
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pkcs8(private):
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def by_cryptography(public, plaintext, algorithm=hashes.SHA1()):
    return public.encrypt(plaintext, padding.OAEP(padding.MGF1(algorithm), algorithm, None))


def by_openssl(public, plaintext, *options):
    options = options or ("rsa_padding_mode:oaep", "rsa_oaep_md:sha1", "rsa_mgf1_md:sha1")
    with tempfile.TemporaryDirectory() as folder:
        key = pathlib.Path(folder, "key.pem")
        key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        settings = [word for option in options for word in ("-pkeyopt", option)]
        line = ["openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", str(key), *settings]
        return subprocess.run(line, input=plaintext, stdout=subprocess.PIPE, check=True).stdout


def certificate():
    """The first line of the reference's one-time setup, and the base64 that its second one gives of it."""
    with tempfile.TemporaryDirectory() as folder:
        key, crt = pathlib.Path(folder, "PrivateKey.key"), pathlib.Path(folder, "PublicKey.crt")
        subprocess.run(
            ["openssl", "req", "-nodes", "-x509", "-sha256", "-newkey", "rsa:4096", "-subj", "/CN=merchant-25",
             "-keyout", str(key), "-out", str(crt), "-days", "99999"], check=True, stderr=subprocess.DEVNULL)
        extract = f"openssl x509 -in {crt} -pubkey -noout | grep -v '\\-\\-\\-' | base64 -d | base64 -w0"
        text = subprocess.run(["sh", "-c", extract], stdout=subprocess.PIPE, check=True).stdout.decode()
        return key.read_text(), crt.read_text(), text


def is_prime(number):
    if any(number % small == 0 for small in SMALL):
        return False
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for _ in range(8):
        power = pow(secrets.randbelow(number - 3) + 2, odd, number)
        if power in (1, number - 1):
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


SMALL = [number for number in range(3, 20_000, 2) if all(number % d for d in range(3, int(number**0.5) + 1, 2))]


def next_prime(number):
    number |= 1
    while not is_prime(number):
        number += 2
    return number


def of_close_primes():
    first = next_prime(secrets.randbits(2048) | 3 << 2046)
    second = next_prime(first + (1 << 900))
    return rsa.RSAPublicNumbers(65537, first * second).public_key()


def opened(by, make, public):
    plaintext = secrets.token_bytes(64)
    return {"by": by, "plaintext": b64(plaintext), "ciphertext": b64(make(public, plaintext)),
            "sha256": b64(hashlib.sha256(plaintext).digest())}


def main():
    generate = lambda bits=4096, e=65537: rsa.generate_private_key(e, bits)
    gateway, client = generate(), generate()
    to_gateway, to_client = gateway.public_key(), client.public_key()
    modulus = to_gateway.public_numbers().n
    openssl_key, openssl_certificate, openssl_text = certificate()
    both = [("openssl", by_openssl), ("cryptography", by_cryptography)]
    vectors = {
        "source": "origin/vectors/generate-login.py (OpenSSL's command line; Python, cryptography)",
        "gateway": {"pkcs8": b64(pkcs8(gateway)), "spki": b64(spki(to_gateway))},
        "client": {
            "pkcs8": client.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "pkcs1": client.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode(),
            "spki": b64(spki(to_client)),
        },
        "reference": {"key": openssl_key, "certificate": openssl_certificate, "public": openssl_text},
        "to_gateway": [opened(*how, to_gateway) for how in both for _ in range(3)],
        "to_client": [opened(*how, to_client) for how in both for _ in range(3)],
        "not_to_gateway": {
            "empty": b64(by_openssl(to_gateway, b"")),
            "63 bytes": b64(by_openssl(to_gateway, secrets.token_bytes(63))),
            "65 bytes": b64(by_cryptography(to_gateway, secrets.token_bytes(65))),
            "OAEP with SHA-256": b64(by_cryptography(to_gateway, secrets.token_bytes(64), hashes.SHA256())),
            "MGF1 with SHA-256": b64(by_openssl(to_gateway, secrets.token_bytes(64), "rsa_padding_mode:oaep",
                                               "rsa_oaep_md:sha1", "rsa_mgf1_md:sha256")),
            "PKCS#1 v1.5": b64(to_gateway.encrypt(secrets.token_bytes(64), padding.PKCS1v15())),
            "for the client": b64(by_openssl(to_client, secrets.token_bytes(64))),
            "zero": b64(bytes(512)),
            "one": b64(bytes(511) + b"\x01"),
            "the modulus": b64(modulus.to_bytes(512)),
            "the modulus less one": b64((modulus - 1).to_bytes(512)),
            "above every modulus": b64(b"\xff" * 512),
        },
        "refused": {
            "2048 bits": b64(spki(generate(2048).public_key())),
            "3072 bits": b64(spki(generate(3072).public_key())),
            "e = 3": b64(spki(generate(4096, 3).public_key())),
            "close primes": b64(spki(of_close_primes())),
        },
    }
    path = pathlib.Path(__file__).with_name("login.json")
    path.write_text(json.dumps(vectors, indent=2) + "\n")


if __name__ == "__main__":
    main()
