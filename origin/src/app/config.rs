//! The origin's configuration: flags, each with an environment variable. Secrets are in files, never in either.

use std::fs::File;
use std::io::Read;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use scanvault_protocol::link::LinkKey;
use zeroize::Zeroizing;

use crate::ceremonies::KeyPolicy;
use crate::ceremonies::operators::{Operators, OperatorsError};
use crate::identity::login::{PRODUCTION_CHALLENGE_SECS, SANDBOX_CHALLENGE_SECS};
use crate::outbox::Rules;
use crate::outbox::target::Allowed;
use crate::payments::pluto;
use crate::web::link_check::LinkKeys;
use crate::web::tls::Files;

/// A few edges and internal systems, and two for each while its secret is replaced.
const MAX_LINK_KEYS: usize = 16;

/// How `sandbox dev-ca` names itself in what it issues.
const DEVELOPMENT_CA: &str = "Scanvault development CA";

const PUBLIC_ADMIN_ADDRESS: &str = "an admin listener on an address that is neither loopback nor private";
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// How careful the origin is with its own configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Sandbox addresses, a test CA and local receivers are taken.
    Development,
    /// None of them is.
    Production,
}

/// Whether something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// How the calls of `/pluto` tell what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ErrorDialect {
    /// Standard statuses and problem documents.
    Standard,
    /// The reference's own statuses (431, 432, 512) and a text.
    Reference,
}

impl From<ErrorDialect> for pluto::Errors {
    fn from(dialect: ErrorDialect) -> Self {
        match dialect {
            ErrorDialect::Standard => Self::Standard,
            ErrorDialect::Reference => Self::Reference,
        }
    }
}

/// Flags of `scanvault serve`.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Production refuses to start with anything meant for development.
    #[arg(long, env = "SCANVAULT_MODE", value_enum, default_value = "production")]
    pub mode: Mode,
    /// sqlite://FILE or postgres://USER@HOST/DATABASE.
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://scanvault.db", hide_env_values = true)]
    pub database_url: String,
    /// Where edges connect to.
    #[arg(long, env = "SCANVAULT_LISTEN", default_value = "127.0.0.1:8443")]
    pub listen: SocketAddr,
    /// Certificate chain, PEM; its key must be ECDSA.
    #[arg(long, env = "SCANVAULT_TLS_CERT")]
    pub tls_cert: PathBuf,
    /// The certificate's key, PEM.
    #[arg(long, env = "SCANVAULT_TLS_KEY")]
    pub tls_key: PathBuf,
    /// When set, edges and internal systems need a client certificate of this CA, PEM.
    #[arg(long, env = "SCANVAULT_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// Where the CLI connects to: a Unix socket. Its mode is 0600, or 0666 when the file of operators names other users:
    /// the kernel says who connects, and that is what is checked.
    #[arg(long, env = "SCANVAULT_ADMIN_SOCKET")]
    pub admin_socket: PathBuf,
    /// Where the CLI connects to over TLS, with a client certificate: an address of loopback or of a private network.
    #[arg(long, env = "SCANVAULT_ADMIN_LISTEN")]
    pub admin_listen: Option<SocketAddr>,
    /// The CA that issued the operators' client certificates, PEM.
    #[arg(long, env = "SCANVAULT_ADMIN_CLIENT_CA")]
    pub admin_client_ca: Option<PathBuf>,
    /// Who may use the admin listeners: a line each, `name roles identity`. Without it, only the origin's own user and
    /// root, as one operator.
    #[arg(long, env = "SCANVAULT_OPERATORS")]
    pub operators: Option<PathBuf>,
    /// The link's secrets: a line each, `<key id> <base64 of 32 bytes> [account]`, at most 16. A key with an account
    /// opens the internal paths, as that account; one without is an edge's.
    #[arg(long, env = "SCANVAULT_LINK_KEYS")]
    pub link_keys: PathBuf,
    /// The region that edges sign for.
    #[arg(long, env = "SCANVAULT_REGION", default_value = "a")]
    pub region: String,
    /// The public address, such as https://pay.example: base of what a QR leads to.
    #[arg(long, env = "SCANVAULT_PUBLIC_URL")]
    pub public_url: String,
    /// The Clearhaus gateway.
    #[arg(long, env = "SCANVAULT_CLEARHAUS_URL", default_value = "https://gateway.clearhaus.com")]
    pub clearhaus_url: String,
    /// The 3-D Secure server.
    #[arg(long = "3dsecure-url", env = "SCANVAULT_3DSECURE_URL", default_value = "https://service.3dsecure.io")]
    pub threedsecure_url: String,
    /// Vipps MobilePay.
    #[arg(long, env = "SCANVAULT_MOBILEPAY_URL", default_value = "https://api.vipps.no")]
    pub mobilepay_url: String,
    /// Where MobilePay's card callbacks and webhooks are taken; without it MobilePay is not offered.
    #[arg(long, env = "SCANVAULT_CALLBACK_LISTEN")]
    pub callback_listen: Option<SocketAddr>,
    /// What MobilePay calls to get there, such as https://callbacks.example: scheme, host and port, no path. Whatever
    /// stands before the listener must pass paths and bodies on unchanged.
    #[arg(long, env = "SCANVAULT_CALLBACK_URL")]
    pub callback_url: Option<String>,
    /// Certificate chain of that listener, PEM, of a CA that everybody trusts; without it the one for edges is used.
    #[arg(long, env = "SCANVAULT_CALLBACK_TLS_CERT", requires = "callback_tls_key")]
    pub callback_tls_cert: Option<PathBuf>,
    /// That certificate's key, PEM.
    #[arg(long, env = "SCANVAULT_CALLBACK_TLS_KEY", requires = "callback_tls_cert")]
    pub callback_tls_key: Option<PathBuf>,
    /// Nets (PSIP), host:port; without it no merchant can be routed there.
    #[arg(long, env = "SCANVAULT_NETS_ADDRESS")]
    pub nets_address: Option<String>,
    /// The CAs that Nets' certificate may be of, PEM; no others are trusted there.
    #[arg(long, env = "SCANVAULT_NETS_CA", requires = "nets_address")]
    pub nets_ca: Option<PathBuf>,
    /// Development: Nets without TLS.
    #[arg(long, env = "SCANVAULT_NETS_PLAIN", requires = "nets_address")]
    pub nets_plain: bool,
    /// Development: a CA that is trusted for outgoing calls, PEM.
    #[arg(long, env = "SCANVAULT_EXTRA_CA")]
    pub extra_ca: Option<PathBuf>,
    /// Development: webhook addresses on loopback, over http too.
    #[arg(long, env = "SCANVAULT_ALLOW_LOCAL_CALLBACKS")]
    pub allow_local_callbacks: bool,
    /// Development: hosts, by name or address, that receivers may be on though not public; http and any port too.
    #[arg(long, env = "SCANVAULT_CALLBACK_ALLOW", value_delimiter = ',')]
    pub callback_allow: Vec<Allowed>,
    /// A new data key is made when the one in use is so old.
    #[arg(long, env = "SCANVAULT_DATA_KEY_MAX_AGE_DAYS", default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=3650))]
    pub data_key_max_age_days: u64,
    /// A new data key is made when the one in use has sealed so many records.
    #[arg(long, env = "SCANVAULT_DATA_KEY_MAX_USES", default_value_t = 1 << 28, value_parser = clap::value_parser!(u64).range(1..=1 << 31))]
    pub data_key_max_uses: u64,
    /// How long the card of a payment is kept, in days; each payment with it begins them anew.
    #[arg(long, env = "SCANVAULT_CARD_RETENTION_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub card_retention_days: u32,
    /// Failures are counted, and too many of them answered 429; `off` is for development.
    #[arg(long, env = "SCANVAULT_RATE_LIMITS", value_enum, default_value = "on")]
    pub rate_limits: Switch,
    /// Wrong credentials for a refund or reversal are 513 instead of 401, as in the reference.
    #[arg(long, env = "SCANVAULT_SECURITY_VIOLATION_513", value_parser = BoolishValueParser::new())]
    pub security_violation_513: bool,
    /// How the calls of `/pluto` tell what is wrong: with problem documents, or as in the reference.
    #[arg(long, env = "SCANVAULT_PLUTO_ERRORS", value_enum, default_value = "standard")]
    pub pluto_errors: ErrorDialect,
    /// After how many days an API password is listed as due; it goes on working.
    #[arg(long, env = "SCANVAULT_PASSWORD_REMINDER_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub password_reminder_days: u32,
    /// How long the challenge of a login counts, in seconds; 60 in production, 600 in development.
    #[arg(long, env = "SCANVAULT_LOGIN_CHALLENGE_SECS", value_parser = clap::value_parser!(u64).range(10..=600))]
    pub login_challenge_secs: Option<u64>,
    /// What is logged, such as `info` or `info,scanvault_origin=debug`.
    #[arg(long, env = "SCANVAULT_LOG", default_value = "info")]
    pub log: String,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting that is meant for development.
    #[error("production mode refuses {0}")]
    NotForProduction(&'static str),
    /// A file that cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The file of link keys has another form.
    #[error("{0}: 1 to 16 lines of `<key id> <base64 of 32 bytes> [account]` are expected, each key id once")]
    LinkKeys(PathBuf),
    /// The file of operators cannot be used.
    #[error("{0}: {1}")]
    Operators(PathBuf, OperatorsError),
    /// Whoever can write the file of operators can name themselves.
    #[error("{0}: must not be writable by group or others")]
    OperatorsWritable(PathBuf),
    /// One of two settings that are of no use alone.
    #[error("--admin-listen and --admin-client-ca go together: one of them is missing")]
    AdminListener,
    /// Nobody could use the listener.
    #[error("--admin-listen needs --operators with a file that names somebody by cert:")]
    NoCertificates,
    /// One of two settings that are of no use alone.
    #[error("--callback-listen and --callback-url go together: one of them is missing")]
    CallbackListener,
    /// Not what a provider's signature is made over.
    #[error(
        "the callback address must be http(s)://host or http(s)://host:port, in lower case, without a usual port or a path"
    )]
    CallbackUrl,
    /// Nothing says whose certificate is Nets'.
    #[error("--nets-address needs --nets-ca: the CAs that Nets' certificate may be of")]
    NetsCa,
    /// Not a base that a code can be appended to.
    #[error("the public address must be http(s)://host without a query")]
    PublicUrl,
}

impl Config {
    /// Checks what can be checked before anything is opened.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let is_base = |url: &str| {
            (url.starts_with("https://") || url.starts_with("http://"))
                && url.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'@' | b'"'))
        };
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

    /// Certificate and key of the provider listener.
    #[must_use]
    pub fn callback_tls(&self) -> (&PathBuf, &PathBuf) {
        match (&self.callback_tls_cert, &self.callback_tls_key) {
            (Some(certificate), Some(key)) => (certificate, key),
            _ => (&self.tls_cert, &self.tls_key),
        }
    }

    /// How long the challenge of a login counts.
    #[must_use]
    pub fn challenge_secs(&self) -> u64 {
        self.login_challenge_secs.unwrap_or(match self.mode {
            Mode::Development => SANDBOX_CHALLENGE_SECS,
            Mode::Production => PRODUCTION_CHALLENGE_SECS,
        })
    }

    /// Where receivers of webhooks and pings may be, besides public addresses.
    #[must_use]
    pub fn callback_rules(&self) -> Rules {
        Rules::new(self.allow_local_callbacks, self.callback_allow.clone())
    }

    /// When a new data key is due.
    #[must_use]
    pub fn key_policy(&self) -> KeyPolicy {
        let max_age_ms = self.data_key_max_age_days.saturating_mul(24 * 60 * 60 * 1_000);
        KeyPolicy { max_age_ms, max_uses: self.data_key_max_uses }
    }

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

fn is_of_development(path: &Path) -> Result<bool, ConfigError> {
    let text = std::fs::read(path).map_err(|error| ConfigError::File(path.to_owned(), error))?;
    let is_ours = |certificate: CertificateDer<'_>| {
        certificate.windows(DEVELOPMENT_CA.len()).any(|window| window == DEVELOPMENT_CA.as_bytes())
    };
    Ok(CertificateDer::pem_slice_iter(&text).flatten().any(is_ours))
}

fn parse_link_keys(text: &str) -> Option<LinkKeys> {
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

#[cfg(test)]
mod tests;
