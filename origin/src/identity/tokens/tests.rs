//! The table of forged tokens, held against the origin's reading; the edge is held against the same.

use scanvault_protocol::authorization;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(rename = "source")]
    _source: String,
    now_secs: u64,
    issuer: String,
    token_keys: String,
    #[serde(rename = "seeds")]
    _seeds: HashMap<String, String>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    token: String,
    problem: Option<String>,
    #[serde(rename = "edge")]
    _edge: String,
    session: Option<Held>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Held {
    account: String,
    id: String,
    credential_version: u64,
    roles: Vec<String>,
    expires_at_secs: u64,
}

#[test]
fn forged_tokens_are_refused_and_good_ones_are_read() {
    let table: Table = serde_json::from_str(include_str!("../../../../protocol/vectors/forged-tokens.json")).unwrap();
    let published: TokenKeys = table.token_keys.parse().unwrap();
    let keys: Vec<_> = published.keys.iter().map(|(id, key)| (id.parse().unwrap(), *key)).collect();
    assert_eq!(published.issuer, table.issuer);
    assert!(table.rows.iter().filter(|row| row.problem.is_some()).count() >= 30);
    for row in &table.rows {
        let read = authorization::parse(Some(&format!("Bearer {}", row.token))).map_err(|problem| problem.code());
        let read = read.and_then(|offered| {
            let token = offered.bearer.unwrap();
            verify_with(&keys, &table.issuer, &token, table.now_secs).map_err(|_| "invalid-or-expired-jwt")
        });
        match (&row.session, &row.problem) {
            (Some(held), None) => {
                let session = read.unwrap_or_else(|problem| panic!("{}: {problem}", row.name));
                let roles: Vec<_> = session.roles.iter().map(|role| role.as_str().to_owned()).collect();
                assert_eq!(session.account.to_string(), held.account, "{}", row.name);
                assert_eq!((session.id, session.credential_version), (held.id.clone(), held.credential_version));
                assert_eq!((roles, session.expires_at_secs), (held.roles.clone(), held.expires_at_secs));
            }
            (None, Some(problem)) => assert_eq!(read.err(), Some(problem.as_str()), "{}", row.name),
            _ => panic!("{}: a row holds or does not", row.name),
        }
    }
}

#[test]
fn the_library_alone_refuses_what_is_not_signed_by_a_known_key() {
    // The strict parser refuses much before the library sees it: what the signature decides must not hang on that.
    let table: Table = serde_json::from_str(include_str!("../../../../protocol/vectors/forged-tokens.json")).unwrap();
    let published: TokenKeys = table.token_keys.parse().unwrap();
    let options = || VerificationOptions {
        artificial_time: Some(UnixTimeStamp::from_secs(table.now_secs)),
        ..VerificationOptions::default()
    };
    for name in ["HS256 with the public key's bytes", "algorithm none, rightly signed", "a signature of zeros"] {
        let row = table.rows.iter().find(|row| row.name == name).unwrap();
        for (_, key) in &published.keys {
            let key = Ed25519PublicKey::from_bytes(key).unwrap();
            assert!(key.verify_token::<OwnClaims>(&row.token, Some(options())).is_err(), "{name}");
        }
    }
}
