//! Who calls, as far as the edge can tell. It refuses only what no record could make right.
//!
//! A token that holds wins over a password beside it; one that does not is ignored in the password's favour. What the
//! edge cannot judge (a name that it was not told of, a key that it does not know) goes on `unverified`. The signature
//! alone is not checked here: the runtime does that, and [`Check::conclude`] takes its answer.

use scanvault_protocol::account::AccountName;
use scanvault_protocol::authorization::{self, Authorization, BearerToken};
use scanvault_protocol::record::Mark;
use scanvault_protocol::route::Audience;
use scanvault_protocol::token::{Parsed, Session};
use scanvault_protocol::{Problem, Role};

use crate::records::Records;
use crate::tokens::{TokenHash, Tokens};

/// The caller of a request that may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Nobody was asked.
    Anonymous,
    /// A name with a well-formed password.
    Named { account: AccountName, mark: Mark },
    /// A token that holds, as far as that can be known without asking.
    Session { hash: TokenHash, account: AccountName, roles: Vec<Role>, mark: Mark },
    /// A token that the edge cannot judge.
    Unread { mark: Mark },
}

impl Caller {
    /// What the origin is told of it.
    #[must_use]
    pub fn mark(&self) -> Mark {
        match self {
            Self::Anonymous => Mark::None,
            Self::Named { mark, .. } | Self::Session { mark, .. } | Self::Unread { mark } => *mark,
        }
    }
}

/// What came of reading the header.
#[derive(Debug)]
pub enum Judgement {
    /// That is the caller.
    Settled(Caller),
    /// It depends on a signature.
    Signature(Box<Check>),
}

/// A token whose claims hold, and whose signature has still to be checked.
#[derive(Debug)]
pub struct Check {
    /// The Ed25519 public key (RFC 8032 §5.1.5).
    pub key: [u8; 32],
    /// What is to be checked.
    pub signature: [u8; 64],
    token: BearerToken,
    hash: TokenHash,
    session: Session,
    /// What the password beside it is worth, if there is one.
    otherwise: Result<Caller, Problem>,
}

impl Check {
    /// What is signed.
    #[must_use]
    pub fn signed(&self) -> &[u8] {
        self.token.expose().rsplit_once('.').map_or(&[], |(signed, _)| signed.as_bytes())
    }

    /// Takes the answer: whether the signature holds, `None` when the runtime could not say.
    ///
    /// # Errors
    /// [`Problem::InvalidOrExpiredJwt`] when it does not and there is no password beside it.
    pub fn conclude(self, holds: Option<bool>, tokens: &mut Tokens, now_ms: u64) -> Result<Caller, Problem> {
        match holds {
            Some(true) => {
                tokens.remember(self.hash, &self.session, &self.key);
                let Session { account, roles, .. } = self.session;
                Ok(Caller::Session { hash: self.hash, account, roles, mark: tokens.mark(now_ms) })
            }
            Some(false) => self.otherwise,
            None => Ok(unread(&self.otherwise)),
        }
    }
}

/// Reads the `Authorization` header of a request to a path of this audience.
///
/// Open paths do not look at what it says, only that it can be read in one way: two of one scheme, or too long a
/// header, are refused everywhere.
///
/// # Errors
/// See [`authorization::parse`]; [`Problem::InvalidOrExpiredJwt`] for a token that cannot be right, with no password
/// beside it.
pub fn judge(
    audience: Audience,
    header: Option<&str>,
    records: &Records,
    tokens: &Tokens,
    now_ms: u64,
) -> Result<Judgement, Problem> {
    let offered = authorization::parse(header);
    if audience == Audience::Anyone {
        let is_unreadable = matches!(offered, Err(Problem::BadRequest | Problem::HeadersTooLarge));
        let anonymous = Judgement::Settled(Caller::Anonymous);
        return if is_unreadable { offered.map(|_| anonymous) } else { Ok(anonymous) };
    }
    let Authorization { basic, bearer } = offered?;
    let named = basic.map(|basic| {
        let mark = records.check(&basic.account, &basic.password, now_ms);
        Caller::Named { account: basic.account, mark }
    });
    match (bearer, named) {
        (Some(token), named) => judge_token(token, named.ok_or(Problem::InvalidOrExpiredJwt), tokens, now_ms),
        (None, Some(named)) => Ok(Judgement::Settled(named)),
        (None, None) => Err(Problem::BadCredentials),
    }
}

/// Cheapest first: the hash of a token that is known, then its form, its key, its claims.
fn judge_token(
    token: BearerToken,
    otherwise: Result<Caller, Problem>,
    tokens: &Tokens,
    now_ms: u64,
) -> Result<Judgement, Problem> {
    let hash = Tokens::hash(&token);
    if let Some(known) = tokens.remembered(&hash, now_ms) {
        let caller = if known.is_doubted {
            unread(&otherwise)
        } else {
            let (account, roles) = (known.account.clone(), known.roles.clone());
            Caller::Session { hash, account, roles, mark: tokens.mark(now_ms) }
        };
        return Ok(Judgement::Settled(caller));
    }
    let Ok(parsed) = Parsed::parse(&token) else { return otherwise.map(Judgement::Settled) };
    let signature = parsed.signature;
    let Some((keys, key)) = tokens.keys(now_ms).and_then(|keys| Some((keys, *keys.key(&parsed.key_id)?))) else {
        return Ok(Judgement::Settled(unread(&otherwise)));
    };
    match parsed.into_session(&keys.issuer, now_ms / 1000) {
        Ok(session) => Ok(Judgement::Signature(Box::new(Check { key, signature, token, hash, session, otherwise }))),
        Err(_) => otherwise.map(Judgement::Settled),
    }
}

/// The origin decides about the token. A password beside it that is right needs no budget: the mark says so, and asks to
/// be told what was missing.
fn unread(otherwise: &Result<Caller, Problem>) -> Caller {
    let is_right = otherwise.as_ref().is_ok_and(|caller| matches!(caller.mark(), Mark::Verified | Mark::Renew));
    Caller::Unread { mark: if is_right { Mark::Renew } else { Mark::Unverified } }
}

#[cfg(test)]
mod tests;
