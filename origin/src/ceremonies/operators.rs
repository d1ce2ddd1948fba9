//! Operators: people with a name and roles, known by a user's number on the Unix socket or by a client certificate.
//!
//! The file says who is one, a line each: `name roles identity`. It is trusted as the origin's own configuration is:
//! whoever can write it can name themselves.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Value, json};

use crate::web::listener::Peer;
use crate::web::peer::PeerError;

const MAX_NAME_BYTES: usize = 64;
/// Who the origin's own user and root are while there is no file.
const OWNER: &str = "owner";

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Changes things.
    Operator,
    /// Looks into the audit.
    Auditor,
}

/// The roles of one operator: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    operator: bool,
    auditor: bool,
}

/// Somebody with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// How they stand in the log and the audit.
    pub name: String,
    /// What they may do.
    pub roles: Roles,
}

/// All operators, and how each is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operators {
    known: Vec<(Peer, Operator)>,
    is_from_file: bool,
}

/// The operators of this moment. They are replaced while requests run, so that a change needs no restart: who is struck
/// off the file has no access from the next request on, open connections included.
pub struct Roster(RwLock<Arc<Operators>>);

/// Why a file of operators is none. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorsError {
    /// Not three words.
    #[error("line {0}: `name roles identity` is expected")]
    Form(usize),
    /// Not a name.
    #[error("line {0}: a name is 1 to 64 of a-z, 0-9, dot, underscore, hyphen")]
    Name(usize),
    /// Not roles.
    #[error("line {0}: roles are operator, auditor, or both with a comma between")]
    Roles(usize),
    /// Not an identity.
    #[error("line {0}: {1}")]
    Identity(usize, PeerError),
    /// Two lines of one name: one person would count as two, or two as one.
    #[error("line {0}: {1} is named already")]
    SameName(usize, String),
    /// Two lines of one identity.
    #[error("line {0}: {1} is {2} already")]
    SameIdentity(usize, Peer, String),
    /// Nobody could change anything, unsealing included.
    #[error("nobody has the role operator")]
    NobodyActs,
}

impl Roles {
    /// Both.
    pub const ALL: Self = Self { operator: true, auditor: true };

    /// Whether a role is among them.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        match role {
            Role::Operator => self.operator,
            Role::Auditor => self.auditor,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "operator" => Some(Self { auditor: false, ..Self::ALL }),
            "auditor" => Some(Self { operator: false, ..Self::ALL }),
            "operator,auditor" | "auditor,operator" => Some(Self::ALL),
            _ => None,
        }
    }

    fn names(self) -> Vec<&'static str> {
        [Role::Operator, Role::Auditor].into_iter().filter(|role| self.has(*role)).map(Role::as_str).collect()
    }
}

impl Operator {
    /// For the CLI.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"name": self.name, "roles": self.roles.names()})
    }
}

impl Role {
    /// As it stands in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

/// For the log: who is one, in which roles, known by what.
impl fmt::Display for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (peer, Operator { name, roles })) in self.known.iter().enumerate() {
            write!(f, "{}{name} {roles} {peer}", if at == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

impl Operators {
    /// Without a file: the origin's own user and root are one operator with both roles. Nothing that needs two operators
    /// can be done then.
    #[must_use]
    pub fn owner(own_uid: u32) -> Self {
        let owner = Operator { name: OWNER.to_owned(), roles: Roles::ALL };
        let mut known = vec![(Peer::Uid(own_uid), owner.clone())];
        if own_uid != 0 {
            known.push((Peer::Uid(0), owner));
        }
        Self { known, is_from_file: false }
    }

    /// Reads the text of a file. From a `#` on a line is a comment; blank lines are nothing.
    ///
    /// # Errors
    /// See [`OperatorsError`]; the first one that is found.
    pub fn parse(text: &str) -> Result<Self, OperatorsError> {
        let mut known: Vec<(Peer, Operator)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let Some((peer, operator)) = parse_line(at + 1, line)? else { continue };
            if known.iter().any(|(_, other)| other.name == operator.name) {
                return Err(OperatorsError::SameName(at + 1, operator.name));
            }
            if let Some((_, other)) = known.iter().find(|(other, _)| *other == peer) {
                return Err(OperatorsError::SameIdentity(at + 1, peer, other.name.clone()));
            }
            known.push((peer, operator));
        }
        if !known.iter().any(|(_, operator)| operator.roles.has(Role::Operator)) {
            return Err(OperatorsError::NobodyActs);
        }
        Ok(Self { known, is_from_file: true })
    }

    /// Who this peer is, if anybody.
    #[must_use]
    pub fn find(&self, peer: Peer) -> Option<&Operator> {
        self.known.iter().find(|(other, _)| *other == peer).map(|(_, operator)| operator)
    }

    /// Whether two different people with the role operator are named: what needs two cannot be done otherwise.
    #[must_use]
    pub fn are_two(&self) -> bool {
        let mut acting = self.known.iter().filter(|(_, operator)| operator.roles.has(Role::Operator));
        let first = acting.next().map(|(_, operator)| &operator.name);
        acting.any(|(_, operator)| Some(&operator.name) != first)
    }

    /// Whether anybody is known by a certificate, as the mTLS listener needs.
    #[must_use]
    pub fn have_certificates(&self) -> bool {
        self.known.iter().any(|(peer, _)| matches!(peer, Peer::Certificate(_)))
    }

    /// Whether users other than the origin's own are named: they must be able to reach its socket. Root always can.
    #[must_use]
    pub fn have_other_users(&self, own_uid: u32) -> bool {
        self.known.iter().any(|(peer, _)| matches!(peer, Peer::Uid(uid) if *uid != own_uid && *uid != 0))
    }

    /// For the CLI: who is known, and how.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rows = self.known.iter().map(
            |(peer, Operator { name, roles })| json!({"name": name, "roles": roles.names(), "identity": peer.to_string()}),
        );
        json!({"operators": rows.collect::<Vec<_>>(), "fromFile": self.is_from_file, "twoCanAct": self.are_two()})
    }
}

impl Roster {
    /// Takes the first ones.
    #[must_use]
    pub fn new(operators: Operators) -> Self {
        Self(RwLock::new(Arc::new(operators)))
    }

    /// Takes others in their place.
    pub fn replace(&self, operators: Operators) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(operators);
    }

    /// Those of now.
    #[must_use]
    pub fn live(&self) -> Arc<Operators> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn parse_line(number: usize, line: &str) -> Result<Option<(Peer, Operator)>, OperatorsError> {
    let text = line.split('#').next().unwrap_or_default();
    let words: Vec<&str> = text.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
    let (name, roles, identity) = match words.as_slice() {
        [] => return Ok(None),
        [name, roles, identity] => (*name, *roles, *identity),
        _ => return Err(OperatorsError::Form(number)),
    };
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
    if !is_name {
        return Err(OperatorsError::Name(number));
    }
    let roles = Roles::parse(roles).ok_or(OperatorsError::Roles(number))?;
    let peer = identity.parse().map_err(|error| OperatorsError::Identity(number, error))?;
    Ok(Some((peer, Operator { name: name.to_owned(), roles })))
}

#[cfg(test)]
mod tests;
