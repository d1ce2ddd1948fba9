//! Bindings into one typed configuration, checked once per isolate.
//!
//! A broken configuration never takes a request half-way: everything is answered 500 and the reason is logged.

use std::sync::OnceLock;

use scanvault_protocol::link::{self, LinkKey};
use scanvault_qr::emv::Merchant;
use scanvault_qr::request::Settings;
use worker::Env;
use zeroize::Zeroizing;

use crate::screen::{Mode, PlainHttp, Target, is_loopback};

/// Who an EMV payload names. It is made without a look-up of the code, so it names the scheme and not the shop.
const EMV_MERCHANT: (&str, &str, &str, &str) = ("ZA", "710", "Scan to Pay", "Online");

/// What the edge knows.
#[derive(Debug)]
pub struct Config {
    pub origin: Origin,
    pub link_key: LinkKey,
    /// What goes into a QR: the public address above all.
    pub qr: Settings,
    pub plain_http: PlainHttp,
    /// What the screen does with what breaks a rule that is policy.
    pub screen: Mode,
    pub client_address: ClientAddress,
    /// Off for tests and the demo, where everybody shares an address.
    pub has_rate_limits: bool,
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
}

impl ClientAddress {
    /// The header to read.
    #[must_use]
    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
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
    CONFIG
        .get_or_init(|| Config::parse(|name| env.var(name).ok().map(|value| Zeroizing::new(value.to_string()))))
        .as_ref()
        .map_err(|error| *error)
}

impl Config {
    fn parse(read: impl Fn(&str) -> Option<Zeroizing<String>>) -> Result<Self, ConfigError> {
        let required = |binding: &'static str| {
            let value = read(binding).filter(|value| !value.trim().is_empty());
            value.ok_or(ConfigError { binding, reason: "is missing" })
        };
        let plain_http = match read("ALLOW_PLAIN_HTTP").as_ref().map_or("", |value| value.trim()) {
            "" => PlainHttp::Refuse,
            "loopback" => PlainHttp::Loopback,
            _ => return Err(ConfigError { binding: "ALLOW_PLAIN_HTTP", reason: "is neither empty nor `loopback`" }),
        };
        let client_address = match read("CLIENT_ADDRESS").as_ref().map_or("", |value| value.trim()) {
            "" | "none" => ClientAddress::Unknown,
            "cf-connecting-ip" => ClientAddress::CfConnectingIp,
            _ => {
                return Err(ConfigError {
                    binding: "CLIENT_ADDRESS",
                    reason: "is neither `none` nor `cf-connecting-ip`",
                });
            }
        };
        let screen = match read("SCREEN").as_ref().map_or("", |value| value.trim()) {
            "" | "enforce" => Mode::Enforce,
            "monitor" => Mode::Monitor,
            _ => return Err(ConfigError { binding: "SCREEN", reason: "is neither `enforce` nor `monitor`" }),
        };
        let switch =
            |binding: &'static str, default: bool| match read(binding).as_ref().map_or("", |value| value.trim()) {
                "" => Ok(default),
                "on" => Ok(true),
                "off" => Ok(false),
                _ => Err(ConfigError { binding, reason: "is neither `on` nor `off`" }),
            };
        let link_key = LinkKey::parse(&required("LINK_KEY_ID")?, &required("LINK_SECRET")?).map_err(|_| {
            ConfigError { binding: "LINK_SECRET", reason: "and LINK_KEY_ID are not a name and 32 bytes" }
        })?;
        Ok(Self {
            origin: Origin {
                authority: origin_authority(&required("ORIGIN_URL")?)?,
                region: region(&required("ORIGIN_REGION")?)?,
            },
            link_key,
            qr: qr_settings(&required("PUBLIC_URL")?, plain_http)?,
            plain_http,
            screen,
            client_address,
            has_rate_limits: switch("RATE_LIMITS", true)?,
            is_513_asked_for: switch("SECURITY_VIOLATION_513", false)?,
        })
    }
}

/// The link is TLS always: there is no spelling of an origin without it.
fn origin_authority(url: &str) -> Result<String, ConfigError> {
    let target = base_of(url).filter(|target| target.is_https && target.path == "/");
    let target = target.ok_or(ConfigError { binding: "ORIGIN_URL", reason: "is not https://host[:port]" })?;
    Ok(target.host.strip_suffix(":443").map_or_else(|| target.host.clone(), str::to_owned))
}

fn region(name: &str) -> Result<String, ConfigError> {
    let name = name.trim();
    let error = ConfigError { binding: "ORIGIN_REGION", reason: "is not a name of letters, digits, - and _" };
    if link::is_name(name) { Ok(name.to_owned()) } else { Err(error) }
}

/// A printed code lives for years, so it leads to https; on loopback, in development, to whatever runs there.
fn qr_settings(url: &str, plain_http: PlainHttp) -> Result<Settings, ConfigError> {
    let error = ConfigError { binding: "PUBLIC_URL", reason: "is not https://host[:port][/path]" };
    let is_allowed =
        |target: &Target| target.is_https || (plain_http == PlainHttp::Loopback && is_loopback(target.host_name()));
    base_of(url).filter(is_allowed).ok_or(error)?;
    let (country, currency, name, city) = EMV_MERCHANT;
    let merchant = Merchant::new(country, currency, name, city).map_err(|_| error)?;
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
            ("ORIGIN_URL", "https://Origin.example:8443"),
            ("ORIGIN_REGION", "a"),
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

    fn code_url(config: &Config) -> String {
        config.qr.code_url(scanvault_qr::request::Code::parse("0123456789").unwrap())
    }

    #[test]
    fn a_whole_configuration_is_read() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.origin, Origin { authority: "origin.example:8443".into(), region: "a".into() });
        assert_eq!((code_url(&config).as_str(), config.link_key.id()), ("HTTPS://PAY.EXAMPLE/Q/0123456789", "edge-1"));
        assert_eq!((config.plain_http, config.client_address), (PlainHttp::Refuse, ClientAddress::Unknown));
        assert_eq!((config.has_rate_limits, config.is_513_asked_for, config.screen), (true, false, Mode::Enforce));
        let config = parse(&[
            ("ALLOW_PLAIN_HTTP", Some("loopback")),
            ("PUBLIC_URL", Some("http://127.0.0.1:8787")),
            ("CLIENT_ADDRESS", Some("cf-connecting-ip")),
            ("ORIGIN_URL", Some("https://origin.example:443/")),
            ("RATE_LIMITS", Some("off")),
            ("SECURITY_VIOLATION_513", Some(" on ")),
            ("SCREEN", Some("monitor")),
        ])
        .unwrap();
        assert_eq!((config.plain_http, config.client_address), (PlainHttp::Loopback, ClientAddress::CfConnectingIp));
        assert_eq!(code_url(&config), "HTTP://127.0.0.1:8787/Q/0123456789");
        assert_eq!(config.origin.authority, "origin.example");
        assert_eq!((config.has_rate_limits, config.is_513_asked_for, config.screen), (false, true, Mode::Monitor));
    }

    #[test]
    fn each_broken_binding_is_named_and_not_repeated() {
        for (binding, value) in [
            ("ORIGIN_URL", None),
            ("ORIGIN_URL", Some("")),
            ("ORIGIN_URL", Some("http://localhost:8443")),
            ("ORIGIN_URL", Some("https://localhost/base")),
            ("ORIGIN_URL", Some("https://user@localhost")),
            ("ORIGIN_REGION", Some("a b")),
            ("LINK_KEY_ID", Some(" ")),
            ("LINK_SECRET", Some("c2hvcnQ=")),
            ("PUBLIC_URL", Some("http://pay.example")),
            ("PUBLIC_URL", Some("http://127.0.0.1:8787")),
            ("PUBLIC_URL", Some("https://pay.example/?a")),
            ("ALLOW_PLAIN_HTTP", Some("true")),
            ("CLIENT_ADDRESS", Some("x-forwarded-for")),
            ("RATE_LIMITS", Some("false")),
            ("SECURITY_VIOLATION_513", Some("yes")),
            ("SCREEN", Some("off")),
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
