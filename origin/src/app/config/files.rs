//! What a configuration names files of: the link's secrets, and who may use the admin listeners.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use scanvault_protocol::link::LinkKey;
use zeroize::Zeroizing;

use super::{Config, ConfigError};
use crate::ceremonies::operators::Operators;
use crate::web::link_check::LinkKeys;

/// A few edges and internal systems, and two for each while its secret is replaced.
const MAX_LINK_KEYS: usize = 16;

const WRITABLE_BY_OTHERS: u32 = 0o022;

impl Config {
    /// Reads the link's secrets.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read_link_keys(&self) -> Result<LinkKeys, ConfigError> {
        let path = &self.link_keys;
        parse_link_keys(&read_secret(path)?).ok_or_else(|| ConfigError::LinkKeys(path.clone()))
    }

    /// Reads who may use the admin listeners; without a file, the user that the origin runs as, and root.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read_operators(&self, own_uid: u32) -> Result<Operators, ConfigError> {
        let operators = match &self.operators {
            Some(path) => read_operators(path)?,
            None => Operators::owner(own_uid),
        };
        if self.admin_listen.is_some() && !operators.have_certificates() {
            return Err(ConfigError::NoCertificates);
        }
        Ok(operators)
    }
}

fn read_operators(path: &Path) -> Result<Operators, ConfigError> {
    let failed = |error| ConfigError::File(path.to_owned(), error);
    let mut file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(ConfigError::OperatorsWritable(path.to_owned()));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    Operators::parse(&text).map_err(|error| ConfigError::Operators(path.to_owned(), error))
}

pub(super) fn parse_link_keys(text: &str) -> Option<LinkKeys> {
    let mut keys = LinkKeys::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_ascii_whitespace();
        let key = LinkKey::parse(words.next()?, words.next()?).ok()?;
        let account = words.next().map(str::parse).transpose().ok()?;
        if words.next().is_some() || !keys.add(key, account) {
            return None;
        }
    }
    (1..=MAX_LINK_KEYS).contains(&keys.len()).then_some(keys)
}

fn read_secret(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| ConfigError::File(path.to_owned(), error))
}
