//! The origin's configuration: flags, each with an environment variable. Secrets are in files, never in either.

mod check;
mod files;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use crate::ceremonies::KeyPolicy;
use crate::ceremonies::operators::OperatorsError;
use crate::identity::login::{PRODUCTION_CHALLENGE_SECS, SANDBOX_CHALLENGE_SECS};
use crate::outbox::Rules;
use crate::outbox::target::Allowed;
use crate::payments::pluto;

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
    /// The region that edges sign for. Processes on one database are told apart by it: those of another region can be
    /// fenced off (`scanvault region`).
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
    /// No edge could sign for it, and no session could be named after it.
    #[error("SCANVAULT_REGION must be 1 to 32 letters, digits, `-` and `_`")]
    Region,
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
    /// Not a base that a code can be appended to and that is served.
    #[error("the public address must be http(s)://host[:port], without a path or query")]
    PublicUrl,
}

impl Config {
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
}

#[cfg(test)]
mod tests;
