//! The files of a credentials directory: what the merchant's side needs to call.

use std::{fs, io, path::Path};

use zeroize::Zeroizing;

use super::access::Access;
use crate::common::{files::write_private, ids::Ids, secret::SecretText};

const CLIENT_ID: &str = "client-id.txt";
const CLIENT_SECRET: &str = "client-secret.txt";
const SUBSCRIPTION_KEY: &str = "subscription-key.txt";

/// Makes the files that are missing.
pub fn ensure(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mut ids = Ids::from_system();
    for name in [CLIENT_ID, CLIENT_SECRET, SUBSCRIPTION_KEY].map(|name| dir.join(name)) {
        if !name.exists() {
            write_private(&name, Zeroizing::new(format!("{}\n", ids.uuid())).as_bytes())?;
        }
    }
    Ok(())
}

pub fn load(dir: &Path) -> io::Result<Access> {
    let read = |name: &str| SecretText::read(&dir.join(name));
    Ok(Access::new(read(CLIENT_ID)?, read(CLIENT_SECRET)?, read(SUBSCRIPTION_KEY)?))
}
