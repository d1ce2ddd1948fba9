use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_compact::{KeyPair, Noise, PublicKey, Seed, Signature};
use proptest::prelude::*;
use scanvault_protocol::AuthMode;
use scanvault_protocol::password::ApiPassword;
use scanvault_protocol::record::{Record, TokenKeys, Update};

use super::*;

const EXTERNAL: Audience = Audience::Role(Role::External);
const NOW: u64 = 1_790_000_000_000;
const NOW_SECS: u64 = NOW / 1000;
const ISSUER: &str = "https://pay.example";
const RIGHT: u8 = 9;

/// An edge that was told of `merchant-25` and of one key, at [`NOW`].
struct Edge {
    records: Records,
    tokens: Tokens,
    /// How many signatures were checked.
    checks: usize,
}

impl Edge {
    fn stranger() -> Self {
        Self { records: Records::default(), tokens: Tokens::default(), checks: 0 }
    }

    fn told() -> Self {
        let mut edge = Self::stranger();
        let record = Record {
            account: AccountName::Merchant(25),
            mode: AuthMode::Basic,
            role: Role::External,
            version: 3,
            verifiers: vec![ApiPassword::from_entropy(&[RIGHT; 32]).verifier()],
        };
        edge.records.learn(Update::Keep(record), NOW, NOW);
        let keys = vec![("1".to_owned(), *pair(1).pk)];
        edge.tokens.learn(TokenKeys { issuer: ISSUER.into(), keys }, NOW, NOW);
        edge
    }

    fn caller_at(&mut self, audience: Audience, header: Option<&str>, now_ms: u64) -> Result<Caller, Problem> {
        match judge(audience, header, &self.records, &self.tokens, now_ms)? {
            Judgement::Settled(caller) => Ok(caller),
            Judgement::Signature(check) => {
                self.checks += 1;
                let key = PublicKey::from_slice(&check.key).unwrap();
                let holds = key.verify(check.signed(), &Signature::new(check.signature)).is_ok();
                check.conclude(Some(holds), &mut self.tokens, now_ms)
            }
        }
    }

    fn caller(&mut self, header: &str) -> Result<Caller, Problem> {
        self.caller_at(EXTERNAL, Some(header), NOW)
    }
}

fn pair(seed: u8) -> KeyPair {
    KeyPair::from_seed(Seed::new([seed; 32]))
}

fn basic(user: &str, byte: u8) -> String {
    let password = ApiPassword::from_entropy(&[byte; 32]);
    format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
}

fn claims(changes: &[(&str, serde_json::Value)]) -> String {
    let mut claims = serde_json::json!({
        "iss": ISSUER, "aud": "scanvault", "sub": "merchant-25", "jti": "c056b2d8-d6d1-4ea6-8752-e87f684b2903",
        "iat": NOW_SECS, "exp": NOW_SECS + 1800, "cv": 3, "roles": ["EXTERNAL"],
    });
    for (name, value) in changes {
        claims[*name] = value.clone();
    }
    claims.to_string()
}

fn token(key_id: &str, seed: u8, claims: &str) -> String {
    let header = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{key_id}"}}"#);
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = pair(seed).sk.sign(&signed, Some(Noise::new([0; 16])));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(*signature))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn good() -> String {
    bearer(&token("1", 1, &claims(&[])))
}

fn named(mark: Mark) -> Result<Caller, Problem> {
    Ok(Caller::Named { account: AccountName::Merchant(25), mark })
}

fn mark_of(caller: Result<Caller, Problem>) -> (&'static str, Mark) {
    match caller.unwrap() {
        Caller::Anonymous => ("nobody", Mark::None),
        Caller::Named { mark, .. } => ("name", mark),
        Caller::Session { mark, .. } => ("session", mark),
        Caller::Unread { mark } => ("unread", mark),
    }
}

#[test]
fn a_password_is_what_the_record_says_of_it() {
    let mut edge = Edge::told();
    assert_eq!(edge.caller(&basic("merchant-25", RIGHT)), named(Mark::Verified));
    assert_eq!(edge.caller(&basic("25", RIGHT)), named(Mark::Verified));
    assert_eq!(edge.caller(&basic("MERCHANT_25", 8)), named(Mark::Unverified));
    let late = edge.caller_at(EXTERNAL, Some(&basic("25", RIGHT)), NOW + 30_000);
    assert_eq!(late, named(Mark::Renew));
    let later = edge.caller_at(EXTERNAL, Some(&basic("25", RIGHT)), NOW + 60_000);
    assert_eq!(later, named(Mark::Unverified));
    assert_eq!(mark_of(edge.caller(&basic("merchant-26", RIGHT))), ("name", Mark::Unverified));
    assert_eq!(Edge::stranger().caller(&basic("merchant-25", RIGHT)), named(Mark::Unverified));
}

#[test]
fn what_no_record_could_make_right_is_refused_with_the_text_of_the_reference() {
    for mut edge in [Edge::stranger(), Edge::told()] {
        for (header, problem) in [
            (None, Problem::BadCredentials),
            (Some("Digest x"), Problem::BadCredentials),
            (Some("Basic bWVyY2hhbnQtMjU6eA=="), Problem::BadCredentials),
            (Some("Bearer"), Problem::InvalidJwt),
            (Some("a.b.c"), Problem::InvalidJwt),
            (Some("Bearer a.b.c"), Problem::InvalidOrExpiredJwt),
            (Some("Bearer a.b.c, Basic x"), Problem::InvalidOrExpiredJwt),
            (Some("Bearer a.b.c, Bearer a.b.c"), Problem::BadRequest),
        ] {
            assert_eq!(edge.caller_at(EXTERNAL, header, NOW), Err(problem), "{header:?}");
        }
    }
}

#[test]
fn open_paths_ask_only_that_the_header_can_be_read_in_one_way() {
    let mut edge = Edge::told();
    let good = good();
    for header in [None, Some("Bearer"), Some("Basic x"), Some("Bearer a.b.c, Basic x"), Some(good.as_str())] {
        assert_eq!(edge.caller_at(Audience::Anyone, header, NOW), Ok(Caller::Anonymous), "{header:?}");
    }
    assert_eq!(edge.caller_at(Audience::Anyone, Some("Basic x, Basic y"), NOW), Err(Problem::BadRequest));
    let long = format!("Basic {}", "A".repeat(7000));
    assert_eq!(edge.caller_at(Audience::Anyone, Some(&long), NOW), Err(Problem::HeadersTooLarge));
    assert_eq!(edge.checks, 0);
}

#[test]
fn a_signature_is_checked_once_while_the_token_lives() {
    let mut edge = Edge::told();
    for (after_ms, expected) in [
        (0, ("session", Mark::Verified)),
        (29_999, ("session", Mark::Verified)),
        (30_000, ("session", Mark::Renew)),
        (600_000, ("session", Mark::Renew)), // the keys are long gone; what held still does
    ] {
        assert_eq!(mark_of(edge.caller_at(EXTERNAL, Some(&good()), NOW + after_ms)), expected, "{after_ms}");
    }
    assert_eq!(edge.checks, 1);
    let Ok(Caller::Session { roles, .. }) = edge.caller(&good()) else { panic!() };
    assert_eq!(roles, [Role::External]);
    // At its end it is read again, with keys that are not known any more: the origin says that it has expired.
    let ended = edge.caller_at(EXTERNAL, Some(&good()), NOW + 1_805_000);
    assert_eq!(mark_of(ended), ("unread", Mark::Unverified));
}

#[test]
fn a_key_that_is_not_known_is_the_origins_to_judge() {
    let other = bearer(&token("2", 2, &claims(&[])));
    assert_eq!(mark_of(Edge::told().caller(&other)), ("unread", Mark::Unverified));
    assert_eq!(mark_of(Edge::stranger().caller(&good())), ("unread", Mark::Unverified));
    let mut edge = Edge::told();
    assert_eq!(mark_of(edge.caller_at(EXTERNAL, Some(&good()), NOW + 60_000)), ("unread", Mark::Unverified));
    assert_eq!(edge.checks, 0);
}

#[test]
fn precedence() {
    let (right, wrong) = (basic("merchant-25", RIGHT), basic("merchant-25", 8));
    let forged = bearer(&token("1", 2, &claims(&[])));
    let expired = bearer(&token("1", 1, &claims(&[("iat", 1.into()), ("exp", 1801.into())])));
    let unknown = bearer(&token("2", 2, &claims(&[])));
    for (token, password, expected) in [
        (&good(), &right, ("session", Mark::Verified)),
        (&good(), &wrong, ("session", Mark::Verified)),
        (&forged, &right, ("name", Mark::Verified)),
        (&forged, &wrong, ("name", Mark::Unverified)),
        (&expired, &right, ("name", Mark::Verified)),
        (&"Bearer a.b.c".to_owned(), &right, ("name", Mark::Verified)),
        (&"Bearer nonsense".to_owned(), &wrong, ("name", Mark::Unverified)),
        (&unknown, &wrong, ("unread", Mark::Unverified)),
        // No budget for a right password; and the origin tells of the key.
        (&unknown, &right, ("unread", Mark::Renew)),
    ] {
        for header in [format!("{token}, {password}"), format!("{password}, {token}")] {
            assert_eq!(mark_of(Edge::told().caller(&header)), expected, "{header}");
        }
    }
    assert_eq!(Edge::told().caller(&forged), Err(Problem::InvalidOrExpiredJwt));
    assert_eq!(Edge::told().caller(&expired), Err(Problem::InvalidOrExpiredJwt));
}

#[test]
fn what_the_origin_refused_is_not_verified_again() {
    let mut edge = Edge::told();
    let Ok(Caller::Session { hash, .. }) = edge.caller(&good()) else { panic!() };
    edge.tokens.doubt(&hash);
    assert_eq!(mark_of(edge.caller(&good())), ("unread", Mark::Unverified));
    let with_password = format!("{}, {}", good(), basic("25", RIGHT));
    assert_eq!(mark_of(edge.caller(&with_password)), ("unread", Mark::Renew));
    assert_eq!(edge.checks, 1);
}

#[test]
fn a_runtime_that_cannot_say_leaves_it_to_the_origin() {
    let mut edge = Edge::told();
    let Ok(Judgement::Signature(check)) = judge(EXTERNAL, Some(&good()), &edge.records, &edge.tokens, NOW) else {
        panic!()
    };
    assert_eq!(mark_of(check.conclude(None, &mut edge.tokens, NOW)), ("unread", Mark::Unverified));
    assert_eq!(mark_of(edge.caller(&good())), ("session", Mark::Verified), "and nothing of it is remembered");
}

/// The table that the origin is held against too. `forward`: the edge does not know the key, the origin does.
#[test]
fn the_table_of_forged_tokens() {
    #[derive(serde::Deserialize)]
    struct Table {
        now_secs: u64,
        token_keys: String,
        rows: Vec<Row>,
    }
    #[derive(serde::Deserialize)]
    struct Row {
        name: String,
        token: String,
        problem: Option<String>,
        edge: String,
    }
    let table: Table = serde_json::from_str(include_str!("../../../protocol/vectors/forged-tokens.json")).unwrap();
    let now_ms = table.now_secs * 1000;
    let mut forged = 0;
    for Row { name, token, problem, edge: expected } in table.rows {
        let mut edge = Edge::told();
        edge.tokens = Tokens::default();
        edge.tokens.learn(table.token_keys.parse().unwrap(), now_ms, now_ms);
        // The second time as the first: a token that did not hold is not remembered.
        for _ in 0..2 {
            let caller = edge.caller_at(Audience::Authenticated, Some(&bearer(&token)), now_ms);
            let seen = match &caller {
                Ok(Caller::Session { mark: Mark::Verified, .. }) => "accept",
                Ok(Caller::Unread { mark: Mark::Unverified }) => "forward",
                Err(_) => "refuse",
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(seen, expected, "{name}");
            if let Err(refused) = caller {
                assert_eq!(Some(refused.code()), problem.as_deref(), "{name}");
            }
        }
        // Beside a right password none of them does any harm.
        let header = format!("{}, {}", bearer(&token), basic("merchant-25", RIGHT));
        if expected == "refuse" && !token.contains([',', '\n']) {
            assert_eq!(mark_of(edge.caller(&header)), ("name", Mark::Verified), "{name}");
        }
        forged += usize::from(problem.is_some());
    }
    assert!(forged >= 30, "{forged}");
}

proptest! {
    #[test]
    fn nothing_but_a_credential_of_ours_gets_through(header in "(Basic|Bearer|basic)? ?[ -~]{0,120}") {
        prop_assert!(Edge::told().caller(&header).is_err());
    }

    #[test]
    fn no_bit_of_a_token_can_be_changed(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.-]") {
        let good = good();
        let at = "Bearer ".len() + at.index(good.len() - "Bearer ".len());
        let mut changed = good.clone();
        changed.replace_range(at..=at, &with);
        let verified = |caller: &Caller| matches!(caller.mark(), Mark::Verified | Mark::Renew);
        let is_verified = Edge::told().caller(&changed).is_ok_and(|caller| verified(&caller));
        prop_assert_eq!(is_verified, changed == good);
    }
}
