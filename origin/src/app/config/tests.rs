use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;

use super::files::parse_link_keys;
use super::*;
use crate::ceremonies::operators::Operators;

#[derive(Parser)]
struct Wrapper {
    #[command(flatten)]
    config: Config,
}

fn config(extra: &[&str]) -> Config {
    let base = ["x", "--tls-cert", "c", "--tls-key", "k", "--admin-socket", "s", "--link-keys", "l"];
    Wrapper::parse_from(base.iter().chain(extra)).config
}

#[test]
fn production_is_the_default_and_refuses_what_is_for_development() {
    let good = ["--public-url", "https://pay.example"];
    assert!(config(&good).check().is_ok());
    for extra in [
        &["--public-url", "http://pay.example"][..],
        &["--public-url", "https://localhost"],
        &["--public-url", "https://127.0.0.1:8443"],
        &["--public-url", "https://pay.example", "--clearhaus-url", "http://gateway.example"],
        &["--public-url", "https://pay.example", "--clearhaus-url", "https://gateway.test.clearhaus.com"],
        &["--public-url", "https://pay.example", "--clearhaus-url", "https://127.0.0.1:1"],
        &["--public-url", "https://pay.example", "--3dsecure-url", "http://service.example"],
        &["--public-url", "https://pay.example", "--3dsecure-url", "https://service.sandbox.3dsecure.io"],
        &["--public-url", "https://pay.example", "--3dsecure-url", "https://localhost:1"],
        &["--public-url", "https://pay.example", "--mobilepay-url", "http://api.vipps.no"],
        &["--public-url", "https://pay.example", "--mobilepay-url", "https://apitest.vipps.no"],
        &["--public-url", "https://pay.example", "--mobilepay-url", "https://127.0.0.1:1"],
        &[
            "--public-url",
            "https://pay.example",
            "--callback-listen",
            "0.0.0.0:1",
            "--callback-url",
            "http://cb.example",
        ],
        &[
            "--public-url",
            "https://pay.example",
            "--callback-listen",
            "0.0.0.0:1",
            "--callback-url",
            "https://localhost",
        ],
        &["--public-url", "https://pay.example", "--nets-address", "psip.example:443", "--nets-plain"],
        &["--public-url", "https://pay.example", "--nets-address", "127.0.0.1:443", "--nets-ca", "ca.pem"],
        &["--public-url", "https://pay.example", "--nets-address", "[::1]:443", "--nets-ca", "ca.pem"],
        &["--public-url", "https://pay.example", "--nets-address", "psip.test.example:443", "--nets-ca", "ca.pem"],
        &["--public-url", "https://pay.example", "--extra-ca", "ca.pem"],
        &["--public-url", "https://pay.example", "--allow-local-callbacks"],
        &["--public-url", "https://pay.example", "--rate-limits", "off"],
    ] {
        assert!(matches!(config(extra).check(), Err(ConfigError::NotForProduction(_))), "{extra:?}");
        let development = [extra, &["--mode", "development"]].concat();
        assert!(config(&development).check().is_ok(), "{extra:?}");
    }
}

#[test]
fn a_region_has_a_name_that_edges_can_sign_for() {
    let of = |region: &str| config(&["--public-url", "https://pay.example", "--region", region]).check();
    assert!(of("eu-west_1").is_ok());
    for region in ["", "a b", "a'", &"a".repeat(33)] {
        assert!(matches!(of(region), Err(ConfigError::Region)), "{region}");
    }
}

#[test]
fn a_callback_address_is_what_signatures_are_made_over() {
    let with = |extra: &[&str]| config(&[&["--public-url", "https://pay.example"], extra].concat()).check();
    for url in ["https://cb.example", "https://cb.example:8443", "https://[2001:db8::1]:8443"] {
        assert!(with(&["--callback-listen", "0.0.0.0:1", "--callback-url", url]).is_ok(), "{url}");
    }
    for url in [
        "cb.example",
        "https://",
        "https://CB.example",
        "https://cb.example/",
        "https://cb.example/x",
        "https://cb.example:443",
        "http://cb.example:80",
        "https://a@cb.example",
        "https://cb.example?x",
    ] {
        let refused = with(&["--callback-listen", "0.0.0.0:1", "--callback-url", url]);
        assert!(matches!(refused, Err(ConfigError::CallbackUrl)), "{url}");
    }
    for half in [["--callback-listen", "0.0.0.0:1"], ["--callback-url", "https://cb.example"]] {
        assert!(matches!(with(&half), Err(ConfigError::CallbackListener)), "{half:?}");
    }
}

#[test]
fn nets_needs_a_ca_that_is_named() {
    let with = |more: &[&str]| config(&[&["--public-url", "https://pay.example"], more].concat()).check();
    assert!(with(&["--nets-address", "psip.example:443", "--nets-ca", "ca.pem"]).is_ok());
    for mode in ["production", "development"] {
        let refused = with(&["--nets-address", "psip.example:443", "--mode", mode]);
        assert!(matches!(refused, Err(ConfigError::NetsCa)), "{mode}");
    }
}

#[test]
fn an_admin_listener_is_for_private_addresses() {
    let with = |address: &str, more: &[&str]| {
        let base = ["--public-url", "https://pay.example", "--admin-client-ca", "ca", "--admin-listen", address];
        config(&[&base, more].concat()).check()
    };
    for address in ["127.0.0.1:1", "[::1]:1", "10.8.0.1:1", "172.31.255.254:1", "192.168.0.1:1", "[fd00::1]:1"] {
        assert!(with(address, &[]).is_ok(), "{address}");
    }
    for address in [
        "0.0.0.0:1",
        "[::]:1",
        "203.0.113.7:1",
        "172.32.0.1:1",
        "100.64.0.1:1",
        "169.254.0.1:1",
        "[2001:db8::1]:1",
        "[fe80::1]:1",
        "[::ffff:203.0.113.7]:1",
    ] {
        let refused = with(address, &[]).unwrap_err().to_string();
        let text = "an admin listener on an address that is neither loopback nor private";
        assert_eq!(refused, format!("production mode refuses {text}"), "{address}");
        assert!(with(address, &["--mode", "development"]).is_ok(), "{address}");
    }
}

#[test]
fn an_admin_listener_needs_its_ca_and_somebody_with_a_certificate() {
    for extra in [["--admin-listen", "127.0.0.1:1"], ["--admin-client-ca", "ca"]] {
        let config = config(&[&["--public-url", "https://pay.example"], &extra[..]].concat());
        assert!(matches!(config.check(), Err(ConfigError::AdminListener)), "{extra:?}");
    }
    let dir = std::env::temp_dir().join(format!("scanvault-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("operators");
    let name = file.to_str().unwrap();
    let read = |text: &str, mode: u32, extra: &[&str]| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        let base = ["--public-url", "https://pay.example"];
        config(&[&base, extra].concat()).read_operators(1000).map_err(|error| error.to_string())
    };
    let (users, certificates) = ("a operator uid:1", &format!("a operator cert:sha256:{}", "00".repeat(32)));
    let listener = ["--admin-listen", "127.0.0.1:1", "--operators", name];
    let nobody = "--admin-listen needs --operators with a file that names somebody by cert:";
    assert_eq!(read(users, 0o600, &listener).unwrap_err(), nobody);
    assert_eq!(read(users, 0o600, &listener[..2]).unwrap_err(), nobody, "no file");
    assert!(read(certificates, 0o644, &listener).unwrap().have_certificates());
    assert!(read(users, 0o644, &listener[2..]).is_ok());
    for mode in [0o620, 0o602] {
        let writable = format!("{name}: must not be writable by group or others");
        assert_eq!(read(users, mode, &listener[2..]).unwrap_err(), writable);
    }
    let broken = read("a operator uid:x", 0o600, &listener[2..]).unwrap_err();
    assert_eq!(broken, format!("{name}: line 1: a user is a number from 0 to 4294967294"));
    assert_eq!(read(users, 0o600, &[]).unwrap(), Operators::owner(1000));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn link_keys_are_a_few_lines_with_names_of_their_own() {
    let secret = STANDARD.encode([7; 32]);
    let keys = parse_link_keys(&format!("# edges\nedge-1 {secret}\n\nvault-1  {secret} \tBilling\n")).unwrap();
    assert_eq!((keys.len(), keys.account("edge-1")), (2, None));
    assert_eq!(keys.account("vault-1").map(ToString::to_string).as_deref(), Some("billing"));
    for text in [
        "",
        "# none",
        "edge-1",
        "edge-1 AAAA",
        "edge 1 x",
        &format!("bad/id {secret}"),
        &format!("a {secret} no/account"),
        &format!("a {secret} billing more"),
        &format!("a {secret}\na {secret} billing"),
    ] {
        assert!(parse_link_keys(text).is_none(), "{text}");
    }
    let lines = |count: usize| (0..count).map(|at| format!("k{at} {secret}\n")).collect::<String>();
    assert!(parse_link_keys(&lines(16)).is_some() && parse_link_keys(&lines(17)).is_none());
}

#[test]
fn the_retention_of_cards_is_bounded() {
    assert_eq!(config(&["--public-url", "https://pay.example"]).card_retention_days, 90);
    let base =
        ["x", "--tls-cert", "c", "--tls-key", "k", "--admin-socket", "s", "--link-keys", "l", "--public-url", "p"];
    for days in ["0", "3651", "-1", "x"] {
        assert!(Wrapper::try_parse_from(base.iter().copied().chain(["--card-retention-days", days])).is_err());
    }
}

#[test]
fn a_login_has_the_references_time() {
    let secs = |extra: &[&str]| config(&[&["--public-url", "https://pay.example"], extra].concat()).challenge_secs();
    assert_eq!((secs(&[]), secs(&["--mode", "development"])), (60, 600));
    assert_eq!(secs(&["--login-challenge-secs", "10"]), 10);
    for wrong in ["9", "601", "x"] {
        let args = ["x", "--public-url", "u", "--login-challenge-secs", wrong];
        assert!(Wrapper::try_parse_from(args).is_err(), "{wrong}");
    }
}
