//! The three files of a credentials directory: what the merchant's side needs to call the gateway.
//! The simulator of the same directory accepts them.

use std::{fs, io, path::Path};

use rsa::{
    RsaPrivateKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding},
    rand_core::OsRng,
};
use zeroize::Zeroizing;

use super::access::Access;
use crate::common::{
    files::{write_private, write_public},
    ids::Ids,
    secret::SecretText,
};

const API_KEY: &str = "api-key.txt";
const SIGNING_KEY_ID: &str = "signing-key-id.txt";
const SIGNING_KEY: &str = "signing-key.pem";
const BITS: usize = 2048;

/// Makes the three files, or keeps them when they are all there: an origin may hold them already.
/// Returns whether they are new.
pub fn ensure(dir: &Path) -> io::Result<bool> {
    fs::create_dir_all(dir)?;
    let there = [API_KEY, SIGNING_KEY_ID, SIGNING_KEY].map(|name| dir.join(name).exists());
    if there == [true; 3] {
        return Ok(false);
    }
    if there != [false; 3] {
        let message = format!("{} holds some of the credentials but not all; remove them first", dir.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let key = RsaPrivateKey::new(&mut OsRng, BITS).map_err(io::Error::other)?;
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
    let mut ids = Ids::from_system();
    write_private(&dir.join(SIGNING_KEY), pem.as_bytes())?;
    write_public(&dir.join(SIGNING_KEY_ID), format!("{}\n", ids.uuid()).as_bytes())?;
    write_private(&dir.join(API_KEY), Zeroizing::new(format!("{}\n", ids.uuid())).as_bytes())?;
    Ok(true)
}

pub fn load(dir: &Path) -> io::Result<Access> {
    let named =
        |name: &str, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", dir.join(name).display()));
    let read = |name: &str| SecretText::read(&dir.join(name)).map_err(|error| named(name, error));
    let (api_key, id, pem) = (read(API_KEY)?, read(SIGNING_KEY_ID)?, read(SIGNING_KEY)?);
    let key = RsaPrivateKey::from_pkcs8_pem(pem.expose())
        .map_err(|error| named(SIGNING_KEY, io::Error::new(io::ErrorKind::InvalidData, error)))?;
    Ok(Access::new(&api_key, id.expose().to_owned(), key.to_public_key()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_and_loaded() {
        let dir = std::env::temp_dir().join(format!("scanvault-credentials-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        assert!(ensure(&dir).unwrap());
        let pem = fs::read_to_string(dir.join(SIGNING_KEY)).unwrap();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"), "PKCS#8");
        for (name, mode) in [(API_KEY, 0o600), (SIGNING_KEY, 0o600), (SIGNING_KEY_ID, 0o644)] {
            assert_eq!(fs::metadata(dir.join(name)).unwrap().permissions().mode() & 0o777, mode, "{name}");
        }
        assert!(load(&dir).is_ok());
        assert!(!ensure(&dir).unwrap(), "kept");
        assert_eq!(fs::read_to_string(dir.join(SIGNING_KEY)).unwrap(), pem);
        fs::remove_file(dir.join(API_KEY)).unwrap();
        assert!(ensure(&dir).is_err(), "half a set is not completed");
        assert!(load(&dir).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
