//! What a configuration must not be: contradictory, or in production made of parts that are meant for development.

use std::iter;
use std::net::IpAddr;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use scanvault_protocol::link::is_name;

use super::{Config, ConfigError, Mode, Switch};
use crate::web::tls::Files;

/// How `sandbox dev-ca` names itself in what it issues.
const DEVELOPMENT_CA: &str = "Scanvault development CA";

const PUBLIC_ADMIN_ADDRESS: &str = "an admin listener on an address that is neither loopback nor private";
impl Config {
    /// Checks what can be checked before anything is opened.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        // Nothing is served below a path, and links are printed.
        let is_base = |url: &str| {
            let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
            let host = host.strip_suffix('/').unwrap_or(host);
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'\\' | b'?' | b'#' | b'@' | b'"'))
        };
        if !is_name(&self.region) {
            return Err(ConfigError::Region);
        }
        if !is_base(&self.public_url) {
            return Err(ConfigError::PublicUrl);
        }
        if self.admin_listen.is_some() != self.admin_client_ca.is_some() {
            return Err(ConfigError::AdminListener);
        }
        if self.callback_listen.is_some() != self.callback_url.is_some() {
            return Err(ConfigError::CallbackListener);
        }
        if self.callback_url.as_deref().is_some_and(|url| !is_origin(url)) {
            return Err(ConfigError::CallbackUrl);
        }
        let is_nets_trusted = self.nets_plain || self.nets_ca.is_some() || self.extra_ca.is_some();
        if self.nets_address.is_some() && !is_nets_trusted {
            return Err(ConfigError::NetsCa);
        }
        if self.mode == Mode::Development {
            return Ok(());
        }
        let callback_url = self.callback_url.as_deref().unwrap_or("https://none.example");
        let refusals = [
            (self.allow_local_callbacks, "SCANVAULT_ALLOW_LOCAL_CALLBACKS"),
            (!self.callback_allow.is_empty(), "SCANVAULT_CALLBACK_ALLOW"),
            (self.rate_limits == Switch::Off, "SCANVAULT_RATE_LIMITS=off"),
            (self.extra_ca.is_some(), "SCANVAULT_EXTRA_CA: a test CA"),
            (!self.public_url.starts_with("https://"), "a public address over plain HTTP"),
            (!self.clearhaus_url.starts_with("https://"), "an acquirer over plain HTTP"),
            (is_sandbox(&self.clearhaus_url), "a sandbox address of the acquirer"),
            (!self.threedsecure_url.starts_with("https://"), "a 3-D Secure server over plain HTTP"),
            (is_sandbox(&self.threedsecure_url), "a sandbox address of the 3-D Secure server"),
            (self.nets_plain, "SCANVAULT_NETS_PLAIN: an acquirer without TLS"),
            (self.nets_address.as_deref().is_some_and(is_sandbox), "a sandbox address of Nets"),
            (is_local(&self.public_url), "a public address on this machine"),
            (!self.mobilepay_url.starts_with("https://"), "MobilePay over plain HTTP"),
            (is_sandbox(&self.mobilepay_url), "a sandbox address of MobilePay"),
            (!callback_url.starts_with("https://"), "a callback address over plain HTTP"),
            (is_local(callback_url), "a callback address on this machine"),
            (self.admin_listen.is_some_and(|address| !is_private(address.ip())), PUBLIC_ADMIN_ADDRESS),
        ];
        match refusals.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, what)) => Err(ConfigError::NotForProduction(what)),
            None => Ok(()),
        }
    }

    /// In production, refuses a certificate that the development CA issued, and clients of that CA.
    ///
    /// # Errors
    /// When it is one, or a file cannot be read.
    pub fn check_tls(&self, files: &Files) -> Result<(), ConfigError> {
        let clients = files.client_ca.as_deref().map(|ca| (ca, "client certificates of the development CA"));
        let own = (files.certificate.as_path(), "a certificate of the development CA");
        for (path, what) in iter::once(own).chain(clients) {
            if is_of_development(path)? && self.mode == Mode::Production {
                return Err(ConfigError::NotForProduction(what));
            }
        }
        Ok(())
    }
}

fn is_of_development(path: &Path) -> Result<bool, ConfigError> {
    let text = std::fs::read(path).map_err(|error| ConfigError::File(path.to_owned(), error))?;
    let is_ours = |certificate: CertificateDer<'_>| {
        certificate.windows(DEVELOPMENT_CA.len()).any(|window| window == DEVELOPMENT_CA.as_bytes())
    };
    Ok(CertificateDer::pem_slice_iter(&text).flatten().any(is_ours))
}

fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    if authority.starts_with('[') {
        authority.split(']').next().unwrap_or_default().trim_start_matches('[')
    } else {
        authority.split(':').next().unwrap_or_default()
    }
}

/// Scheme and host as a signature over the host is made: without a port that goes without saying.
fn is_origin(url: &str) -> bool {
    let (rest, usual_port) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (rest, ":443"),
        (_, Some(rest)) => (rest, ":80"),
        _ => return false,
    };
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
    !host(url).is_empty() && rest.bytes().all(fits) && !rest.ends_with(usual_port)
}

fn is_local(url: &str) -> bool {
    let host = host(url);
    host == "localhost" || host.ends_with(".localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Loopback, RFC 1918, fc00::/7 (RFC 4193): what a WireGuard interface or a host's own network has. "Every address" is
/// none of them.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

fn is_sandbox(url: &str) -> bool {
    is_local(url) || host(url).split('.').any(|label| matches!(label, "test" | "sandbox" | "qa" | "apitest"))
}
