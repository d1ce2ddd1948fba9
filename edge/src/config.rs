//! Bindings into one typed configuration, checked once per isolate.
//!
//! A broken configuration never takes a request half-way: everything is answered 500 and the reason is logged.

use std::sync::OnceLock;

use scanvault_protocol::link::{self, LinkKey};
use scanvault_qr::emv::{Merchant, MerchantError};
use scanvault_qr::request::Settings;
use zeroize::Zeroizing;

use crate::log::LogLines;
use crate::runtime::{self, Env};
use crate::screen::{Mode, PlainHttp, Target, is_loopback};

/// Whom EMV payloads name where nothing else is set: country, currency, name, city. They are made without a look-up of the
/// code, so they name whoever runs the edge and not the shop.
const EMV_MERCHANT: [(&str, &str); 4] =
    [("EMV_COUNTRY", "ZA"), ("EMV_CURRENCY", "710"), ("EMV_NAME", "Scan to Pay"), ("EMV_CITY", "Online")];

/// The most regions that an edge asks.
pub const MAX_REGIONS: usize = 4;

/// What the edge knows.
#[derive(Debug)]
pub struct Config {
    /// The origins of the regions, the first before the others. There is one at least.
    pub origins: Vec<Origin>,
    pub link_key: LinkKey,
    /// What goes into a QR: the public address above all.
    pub qr: Settings,
    pub plain_http: PlainHttp,
    /// What the screen does with what breaks a rule that is policy.
    pub screen: Mode,
    pub client_address: ClientAddress,
    /// Off for tests and the demo, where everybody shares an address.
    pub has_rate_limits: bool,
    pub log_lines: LogLines,
    /// Whether refunds and reversals are refused with the reference's own status in place of 401.
    pub is_513_asked_for: bool,
}

/// A region's origin.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// Host and port as they travel in `Host`; 443 is not spelled.
    pub authority: String,
    pub region: String,
}

/// Where the client's address comes from. The header means something only behind the host that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// Nobody knows it.
    Unknown,
    /// Cloudflare's header, which it sets over anything that a client sends.
    CfConnectingIp,
    /// The other end of the connection, as a workerd that clients connect to tells it.
    Runtime,
}

impl ClientAddress {
    /// The header to read.
    #[must_use]
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Unknown | Self::Runtime => None,
            Self::CfConnectingIp => Some("cf-connecting-ip"),
        }
    }
}

/// What is wrong with a binding. The value is not repeated: it may be a secret in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("binding {binding}: {reason}")]
pub struct ConfigError {
    binding: &'static str,
    reason: &'static str,
}

/// The configuration of this isolate. Bindings never change under a running one.
///
/// # Errors
/// The first binding that is wrong, the same for every request.
pub fn of_isolate(env: &Env) -> Result<&'static Config, ConfigError> {
    static CONFIG: OnceLock<Result<Config, ConfigError>> = OnceLock::new();
    CONFIG.get_or_init(|| Config::parse(|name| runtime::text_binding(env, name))).as_ref().map_err(|error| *error)
}

impl Config {
    fn parse(read: impl Fn(&str) -> Option<Zeroizing<String>>) -> Result<Self, ConfigError> {
        let bindings = Bindings(&read);
        let loopback = [("", PlainHttp::Refuse), ("loopback", PlainHttp::Loopback)];
        let plain_http = bindings.one_of("ALLOW_PLAIN_HTTP", &loopback, "is neither empty nor `loopback`")?;
        let sources = [
            ("none", ClientAddress::Unknown),
            ("cf-connecting-ip", ClientAddress::CfConnectingIp),
            ("runtime", ClientAddress::Runtime),
        ];
        let is_no_source = "is not `none`, `cf-connecting-ip` or `runtime`";
        let screens = [("enforce", Mode::Enforce), ("monitor", Mode::Monitor)];
        let lines = [("decisions", LogLines::Decisions), ("all", LogLines::All)];
        let (key_id, secret) = (bindings.required("LINK_KEY_ID")?, bindings.required("LINK_SECRET")?);
        let is_no_key = ConfigError { binding: "LINK_SECRET", reason: "and LINK_KEY_ID are not a name and 32 bytes" };
        Ok(Self {
            origins: origins(&bindings.required("ORIGINS")?)?,
            link_key: LinkKey::parse(&key_id, &secret).map_err(|_| is_no_key)?,
            qr: qr_settings(&bindings.required("PUBLIC_URL")?, plain_http, bindings.emv_merchant()?)?,
            plain_http,
            screen: bindings.one_of("SCREEN", &screens, "is neither `enforce` nor `monitor`")?,
            client_address: bindings.one_of("CLIENT_ADDRESS", &sources, is_no_source)?,
            has_rate_limits: bindings.switch("RATE_LIMITS", true)?,
            log_lines: bindings.one_of("LOG", &lines, "is neither `decisions` nor `all`")?,
            is_513_asked_for: bindings.switch("SECURITY_VIOLATION_513", false)?,
        })
    }
}

/// What reads a binding.
struct Bindings<R>(R);

impl<R: Fn(&str) -> Option<Zeroizing<String>>> Bindings<R> {
    /// A binding that says anything.
    fn given(&self, binding: &str) -> Option<Zeroizing<String>> {
        (self.0)(binding).filter(|value| !value.trim().is_empty())
    }

    fn required(&self, binding: &'static str) -> Result<Zeroizing<String>, ConfigError> {
        self.given(binding).ok_or(ConfigError { binding, reason: "is missing" })
    }

    /// What a word stands for; where there is none, the first.
    fn one_of<T: Copy>(
        &self,
        binding: &'static str,
        known: &[(&str, T)],
        reason: &'static str,
    ) -> Result<T, ConfigError> {
        let given = self.given(binding);
        let mut words = known.iter();
        let found = match &given {
            None => words.next(),
            Some(value) => words.find(|(word, _)| *word == value.trim()),
        };
        found.map(|(_, meaning)| *meaning).ok_or(ConfigError { binding, reason })
    }

    fn switch(&self, binding: &'static str, default: bool) -> Result<bool, ConfigError> {
        let word = if default { "on" } else { "off" };
        self.one_of(binding, &[(word, default), ("on", true), ("off", false)], "is neither `on` nor `off`")
    }

    fn emv_merchant(&self) -> Result<Merchant, ConfigError> {
        let [country, currency, name, city] = EMV_MERCHANT.map(|(binding, default)| match self.given(binding) {
            Some(value) => value.trim().to_owned(),
            None => default.to_owned(),
        });
        Merchant::new(&country, &currency, &name, &city).map_err(|error| match error {
            MerchantError::Country => ConfigError { binding: "EMV_COUNTRY", reason: "is not two upper-case letters" },
            MerchantError::Currency => ConfigError { binding: "EMV_CURRENCY", reason: "is not three digits" },
            MerchantError::Name => {
                ConfigError { binding: "EMV_NAME", reason: "is not 1 to 25 printable ASCII characters" }
            }
            MerchantError::City => {
                ConfigError { binding: "EMV_CITY", reason: "is not 1 to 15 printable ASCII characters" }
            }
        })
    }
}

/// `name=https://host[:port]`, the first choice first, with spaces or commas between.
fn origins(list: &str) -> Result<Vec<Origin>, ConfigError> {
    let error = |reason| ConfigError { binding: "ORIGINS", reason };
    let mut origins: Vec<Origin> = Vec::new();
    for entry in list.split([' ', ',', '\t', '\n', '\r']).filter(|entry| !entry.is_empty()) {
        let (region, url) = entry.split_once('=').ok_or(error("is not a list of name=https://host[:port]"))?;
        if !link::is_name(region) {
            return Err(error("has a name that is not of letters, digits, - and _"));
        }
        let authority = origin_authority(url).ok_or(error("has an address that is not https://host[:port]"))?;
        if origins.iter().any(|known| known.region == region || known.authority == authority) {
            return Err(error("has a name or an address twice"));
        }
        origins.push(Origin { authority, region: region.to_owned() });
    }
    if (1..=MAX_REGIONS).contains(&origins.len()) { Ok(origins) } else { Err(error("has not one to four regions")) }
}

/// The link is TLS always: there is no spelling of an origin without it.
fn origin_authority(url: &str) -> Option<String> {
    let target = base_of(url).filter(|target| target.is_https && target.path == "/")?;
    Some(target.host.strip_suffix(":443").map_or_else(|| target.host.clone(), str::to_owned))
}

/// A printed code lives for years, so it leads to https; on loopback, in development, to whatever runs there.
fn qr_settings(url: &str, plain_http: PlainHttp, merchant: Merchant) -> Result<Settings, ConfigError> {
    let error = ConfigError { binding: "PUBLIC_URL", reason: "is not https://host[:port]" };
    let is_allowed =
        |target: &Target| target.is_https || (plain_http == PlainHttp::Loopback && is_loopback(target.host_name()));
    // Nothing is served below a path, and codes are printed.
    base_of(url).filter(is_allowed).filter(|target| target.path == "/").ok_or(error)?;
    Settings::new(url.trim(), merchant).map_err(|_| error)
}

fn base_of(url: &str) -> Option<Target> {
    Target::parse(url.trim()).filter(|target| {
        let path = target.path.trim_end_matches('/');
        target.query.is_none() && (path.is_empty() || scanvault_protocol::path::check(path).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn parse(changes: &[(&str, Option<&str>)]) -> Result<Config, ConfigError> {
        let secret = STANDARD.encode([7; 32]);
        let defaults = [
            ("ORIGINS", "a=https://Origin.example:8443"),
            ("LINK_KEY_ID", "edge-1"),
            ("LINK_SECRET", secret.as_str()),
            ("PUBLIC_URL", "https://pay.example/"),
        ];
        Config::parse(|name| {
            let changed = changes.iter().find(|(changed, _)| *changed == name).map(|(_, value)| *value);
            let value = changed.unwrap_or_else(|| defaults.iter().find(|(it, _)| *it == name).map(|(_, value)| *value));
            value.map(|value| Zeroizing::new(value.to_owned()))
        })
    }

    fn origin(region: &str, authority: &str) -> Origin {
        Origin { authority: authority.into(), region: region.into() }
    }

    fn code_url(config: &Config) -> String {
        config.qr.code_url(scanvault_qr::request::Code::parse("0123456789").unwrap())
    }

    #[test]
    fn a_whole_configuration_is_read() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.origins, [origin("a", "origin.example:8443")]);
        assert_eq!((code_url(&config).as_str(), config.link_key.id()), ("HTTPS://PAY.EXAMPLE/Q/0123456789", "edge-1"));
        assert_eq!((config.plain_http, config.client_address), (PlainHttp::Refuse, ClientAddress::Unknown));
        assert_eq!((config.has_rate_limits, config.is_513_asked_for, config.screen), (true, false, Mode::Enforce));
        assert_eq!(config.log_lines, LogLines::Decisions);
        let config = parse(&[
            ("ALLOW_PLAIN_HTTP", Some("loopback")),
            ("PUBLIC_URL", Some("http://127.0.0.1:8787")),
            ("CLIENT_ADDRESS", Some("cf-connecting-ip")),
            ("ORIGINS", Some("b=https://origin-b.example:443/, a=https://origin-a.example\n")),
            ("RATE_LIMITS", Some("off")),
            ("SECURITY_VIOLATION_513", Some(" on ")),
            ("LOG", Some("all")),
            ("SCREEN", Some("monitor")),
        ])
        .unwrap();
        assert_eq!((config.plain_http, config.client_address), (PlainHttp::Loopback, ClientAddress::CfConnectingIp));
        assert_eq!(code_url(&config), "HTTP://127.0.0.1:8787/Q/0123456789");
        assert_eq!(config.origins, [origin("b", "origin-b.example"), origin("a", "origin-a.example")]);
        assert_eq!((config.has_rate_limits, config.is_513_asked_for, config.screen), (false, true, Mode::Monitor));
        assert_eq!(config.log_lines, LogLines::All);
    }

    #[test]
    fn the_source_of_the_client_address_is_named() {
        for (value, source, header) in [
            ("none", ClientAddress::Unknown, None),
            ("cf-connecting-ip", ClientAddress::CfConnectingIp, Some("cf-connecting-ip")),
            ("runtime", ClientAddress::Runtime, None),
        ] {
            let config = parse(&[("CLIENT_ADDRESS", Some(value))]).unwrap();
            assert_eq!((config.client_address, config.client_address.header()), (source, header));
        }
    }

    #[test]
    fn emv_payloads_name_whom_the_bindings_name() {
        let merchant = |changes: &[(&str, Option<&str>)]| {
            let read = |name: &str| {
                let value = changes.iter().find(|(changed, _)| *changed == name).and_then(|(_, value)| *value);
                value.map(|value| Zeroizing::new(value.to_owned()))
            };
            Bindings(read).emv_merchant().unwrap()
        };
        let of = |country, currency, name, city| Merchant::new(country, currency, name, city).unwrap();
        assert_eq!(merchant(&[("EMV_CITY", Some(" "))]), of("ZA", "710", "Scan to Pay", "Online"));
        let kenya = [
            ("EMV_COUNTRY", Some("KE")),
            ("EMV_CURRENCY", Some("404")),
            ("EMV_NAME", Some("Duka ")),
            ("EMV_CITY", Some("Nairobi")),
        ];
        assert_eq!(merchant(&kenya), of("KE", "404", "Duka", "Nairobi"));
    }

    #[test]
    fn each_broken_binding_is_named_and_not_repeated() {
        for (binding, value) in [
            ("ORIGINS", None),
            ("ORIGINS", Some("")),
            ("ORIGINS", Some(" , ")),
            ("ORIGINS", Some("https://localhost:8443")),
            ("ORIGINS", Some("a=http://localhost:8443")),
            ("ORIGINS", Some("a=https://localhost/base")),
            ("ORIGINS", Some("a=https://user@localhost")),
            ("ORIGINS", Some("a.b=https://localhost")),
            ("ORIGINS", Some("=https://localhost")),
            ("ORIGINS", Some("a=https://localhost:1 a=https://localhost:2")),
            ("ORIGINS", Some("a=https://localhost b=https://localhost:443")),
            ("ORIGINS", Some("a=https://h:1 b=https://h:2 c=https://h:3 d=https://h:4 e=https://h:5")),
            ("LINK_KEY_ID", Some(" ")),
            ("LOG", Some("none")),
            ("LINK_SECRET", Some("c2hvcnQ=")),
            ("PUBLIC_URL", Some("http://pay.example")),
            ("PUBLIC_URL", Some("http://127.0.0.1:8787")),
            ("PUBLIC_URL", Some("https://pay.example/?a")),
            ("PUBLIC_URL", Some("https://pay.example/shop")),
            ("ALLOW_PLAIN_HTTP", Some("true")),
            ("CLIENT_ADDRESS", Some("x-forwarded-for")),
            ("CLIENT_ADDRESS", Some("Runtime")),
            ("RATE_LIMITS", Some("false")),
            ("SECURITY_VIOLATION_513", Some("yes")),
            ("SCREEN", Some("off")),
            ("EMV_COUNTRY", Some("Kenya")),
            ("EMV_CURRENCY", Some("KES")),
            ("EMV_NAME", Some("A name that is longer than 25 characters")),
            ("EMV_CITY", Some("Llanfairpwllgwyngyll")),
        ] {
            let error = parse(&[(binding, value)]).unwrap_err();
            assert_eq!(error.binding, binding, "{value:?}");
            assert!(value.is_none_or(|value| value.trim().is_empty() || !error.to_string().contains(value)), "{error}");
        }
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let shown = format!("{:?}", parse(&[]).unwrap());
        assert!(!shown.contains(&STANDARD.encode([7; 32])) && !shown.contains("7, 7"), "{shown}");
    }
}
