//! Who gets a share: names and keys, as an operator gives them.

use scanvault_protocol::Problem;
use serde::{Deserialize, Serialize};

use crate::vault::store::SealedShare;
use crate::vault::{Custodian, Share};
use crate::web::ApiError;

/// As it is asked for, and as a re-share's plan keeps it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CustodianBody {
    pub(super) name: String,
    pub(super) recipient: String,
}

/// A custodian with a key that was looked at.
pub(super) struct NamedCustodian {
    pub(super) name: String,
    pub(super) key: Custodian,
}

/// Checks names and keys: all distinct, no key to which anybody could decrypt.
pub(super) fn parse(bodies: &[CustodianBody]) -> Result<Vec<NamedCustodian>, ApiError> {
    let bad = |text: String| ApiError::because(Problem::BadRequest, text);
    let mut custodians: Vec<NamedCustodian> = Vec::new();
    for CustodianBody { name, recipient } in bodies {
        let is_name = (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && !name.starts_with('.');
        if !is_name || custodians.iter().any(|other| other.name == *name) {
            return Err(bad("custodians need distinct plain names".into()));
        }
        let key = Custodian::parse(recipient).map_err(|error| bad(format!("{name}: {error}")))?;
        if custodians.iter().any(|other| other.key.to_string() == key.to_string()) {
            return Err(bad("two custodians must not have the same key".into()));
        }
        custodians.push(NamedCustodian { name: name.clone(), key });
    }
    Ok(custodians)
}

/// Encrypts each share to its custodian: in no other form does it leave.
pub(super) fn seal(shares: &[Share], custodians: &[NamedCustodian]) -> Result<Vec<SealedShare>, ApiError> {
    let mut sealed = Vec::new();
    for (share, custodian) in shares.iter().zip(custodians) {
        let armored = custodian.key.encrypt(&share.to_text()).map_err(|error| ApiError::internal(&error))?;
        sealed.push(SealedShare {
            index: share.index(),
            custodian: custodian.name.clone(),
            recipient: custodian.key.to_string(),
            armored,
            proved_at_ms: None,
        });
    }
    Ok(sealed)
}
