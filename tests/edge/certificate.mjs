// A self-signed certificate for the origin stub, made anew for each run: no key lies in the repository.
// X.509 in DER by hand (RFC 5280), because Node can sign but not issue.

import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

const OID_ECDSA_SHA256 = "2a8648ce3d040302"; // RFC 5758 §3.2
const OID_COMMON_NAME = "550403";
const OID_SUBJECT_ALT_NAME = "551d11";
const OID_BASIC_CONSTRAINTS = "551d13";

/** { cert, key } in PEM, for the name localhost and for no address, valid for a day around now. */
export function selfSigned() {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = seq(oid(OID_ECDSA_SHA256));
  const name = seq(tlv(0x31, seq(oid(OID_COMMON_NAME), tlv(0x0c, Buffer.from("scanvault edge test")))));
  const day = 86_400_000;
  const alternatives = seq(tlv(0x82, Buffer.from("localhost")));
  const extensions = seq(
    seq(oid(OID_BASIC_CONSTRAINTS), tlv(0x01, Buffer.from([0xff])), tlv(0x04, seq(tlv(0x01, Buffer.from([0xff]))))),
    seq(oid(OID_SUBJECT_ALT_NAME), tlv(0x04, alternatives)),
  );
  const body = seq(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))), // version 3
    tlv(0x02, Buffer.concat([Buffer.from([1]), randomBytes(8)])),
    algorithm,
    name,
    seq(time(Date.now() - day), time(Date.now() + day)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    tlv(0xa3, extensions),
  );
  const signature = sign("sha256", body, privateKey);
  const der = seq(body, algorithm, tlv(0x03, Buffer.concat([Buffer.from([0]), signature])));
  const lines = der.toString("base64").match(/.{1,64}/g).join("\n");
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

function tlv(tag, content) {
  const length = content.length;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const seq = (...parts) => tlv(0x30, Buffer.concat(parts));
const oid = (hex) => tlv(0x06, Buffer.from(hex, "hex"));

function time(ms) {
  const text = new Date(ms).toISOString(); // UTCTime: YYMMDDhhmmssZ
  return tlv(0x17, Buffer.from(text.slice(2, 19).replace(/[-T:]/g, "") + "Z"));
}
