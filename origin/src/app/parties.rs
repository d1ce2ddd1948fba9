//! The third parties that this origin can reach, as its configuration names them.

use reqwest::Certificate;

use super::config::{Config, ConfigError, Mode};
use super::serve::ServeError;
use crate::acquirers::clearhaus::Clearhaus;
use crate::acquirers::nets::Nets;
use crate::acquirers::{Acquirers, Party, Transport, threedsecure};
use crate::payments::threeds::ThreeDs;

/// In the order in which they are tried where a merchant has no routes of its own.
pub(super) fn acquirers(config: &Config) -> Result<Acquirers, ServeError> {
    let transport = Transport::http(&config.clearhaus_url, &extra_ca(config)?)?;
    let mut parties = vec![Party { acquirer: Box::new(Clearhaus), transport }];
    if let Some(address) = &config.nets_address {
        parties.push(Party { acquirer: Box::new(Nets), transport: nets_transport(config, address)? });
    }
    Ok(Acquirers::new(parties))
}

/// Trusts the CAs that are named for Nets, and the development's own where there is one.
fn nets_transport(config: &Config, address: &str) -> Result<Transport, ServeError> {
    if config.nets_plain {
        return Ok(Transport::framed_plain(address)?);
    }
    let mut pem = Vec::new();
    for path in [&config.nets_ca, &config.extra_ca].into_iter().flatten() {
        pem.extend(std::fs::read(path).map_err(|error| ConfigError::File(path.clone(), error))?);
        pem.push(b'\n');
    }
    Ok(Transport::framed(address, &pem)?)
}

/// Who authenticates cardholders, and what of their banks is shown.
pub(super) fn threeds(config: &Config) -> Result<ThreeDs, ServeError> {
    Ok(ThreeDs {
        server: threedsecure::Server::new(&config.threedsecure_url, &extra_ca(config)?)?,
        public_url: config.public_url.clone(),
        shows_plain_http: config.mode == Mode::Development,
    })
}

/// What is trusted beside the well-known CAs: development only.
pub(super) fn extra_ca(config: &Config) -> Result<Vec<Certificate>, ServeError> {
    let Some(path) = &config.extra_ca else { return Ok(Vec::new()) };
    let pem = std::fs::read(path).map_err(|error| ConfigError::File(path.clone(), error))?;
    Ok(Certificate::from_pem_bundle(&pem)?)
}
