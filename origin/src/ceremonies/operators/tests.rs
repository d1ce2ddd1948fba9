use proptest::prelude::*;

use super::*;

const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_file_with_everything_in_it() {
    let text = format!(
        "# who may\n\nalice operator uid:1000\n  bob\tauditor   cert:sha256:{HASH}  # laptop\r\ncarol auditor,operator uid:0"
    );
    let operators = Operators::parse(&text).unwrap();
    let alice = operators.find(Peer::Uid(1000)).unwrap();
    assert_eq!((alice.name.as_str(), alice.roles.to_string().as_str()), ("alice", "operator"));
    let bob = operators.find(Peer::of_certificate(b"abc")).unwrap();
    assert!(bob.name == "bob" && bob.roles.has(Role::Auditor) && !bob.roles.has(Role::Operator));
    assert_eq!(operators.find(Peer::Uid(0)).unwrap().roles, Roles::ALL);
    assert_eq!(operators.find(Peer::Uid(1001)), None);
    assert_eq!(operators.find(Peer::Certificate([0; 32])), None);
    assert!(operators.are_two() && operators.have_certificates() && operators.have_other_users(1001));
    assert!(!operators.have_other_users(1000), "the origin's own user and root reach a socket of mode 0600");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    let name = "a".repeat(65);
    for (text, said) in [
        ("alice operator", "line 1: `name roles identity` is expected"),
        ("\n# c\nalice operator uid:1 uid:2", "line 3: `name roles identity` is expected"),
        ("Alice operator uid:1", "line 1: a name is 1 to 64 of a-z, 0-9, dot, underscore, hyphen"),
        (&format!("{name} operator uid:1"), "line 1: a name is 1 to 64 of a-z, 0-9, dot, underscore, hyphen"),
        ("alice root uid:1", "line 1: roles are operator, auditor, or both with a comma between"),
        ("alice operator, uid:1", "line 1: roles are operator, auditor, or both with a comma between"),
        ("alice operator,operator uid:1", "line 1: roles are operator, auditor, or both with a comma between"),
        ("alice operator 1000", "line 1: an identity is uid:NUMBER or cert:sha256:HEX"),
        ("alice operator uid:-1", "line 1: a user is a number from 0 to 4294967294"),
        ("alice operator cert:sha256:00", "line 1: a certificate is 64 lower-case hexadecimal digits"),
        ("alice operator uid:1\nalice auditor uid:2", "line 2: alice is named already"),
        ("alice operator uid:1\n\nbob auditor uid:1", "line 3: uid:1 is alice already"),
        ("", "nobody has the role operator"),
        ("# alice operator uid:1", "nobody has the role operator"),
        ("alice auditor uid:1", "nobody has the role operator"),
    ] {
        assert_eq!(Operators::parse(text).unwrap_err().to_string(), said, "{text}");
    }
}

#[test]
fn without_a_file_the_owner_is_one_person() {
    for own in [0, 1000] {
        let operators = Operators::owner(own);
        for uid in [0, own] {
            let owner = operators.find(Peer::Uid(uid)).unwrap();
            assert_eq!((owner.name.as_str(), owner.roles), ("owner", Roles::ALL));
        }
        assert_eq!(operators.find(Peer::Uid(1001)), None);
        assert!(!operators.are_two(), "two user numbers are not two people");
        assert!(!operators.have_other_users(own) && !operators.have_certificates());
    }
}

#[test]
fn two_are_two_only_with_the_role() {
    let are_two = |text: &str| Operators::parse(text).unwrap().are_two();
    assert!(!are_two("alice operator uid:1"));
    assert!(!are_two("alice operator uid:1\nbob auditor uid:2"));
    assert!(are_two("alice operator uid:1\nbob auditor uid:2\ncarol operator,auditor uid:3"));
}

#[test]
fn who_is_replaced_is_gone_at_once() {
    let roster = Roster::new(Operators::parse("alice operator uid:1").unwrap());
    let before = roster.live();
    roster.replace(Operators::parse("bob operator uid:2").unwrap());
    assert!(before.find(Peer::Uid(1)).is_some(), "a request under way keeps what it was admitted by");
    assert!(roster.live().find(Peer::Uid(1)).is_none() && roster.live().find(Peer::Uid(2)).is_some());
}

fn identity() -> impl Strategy<Value = Peer> {
    prop_oneof![(0..u32::MAX).prop_map(Peer::Uid), any::<[u8; 32]>().prop_map(Peer::Certificate)]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        lines in prop::collection::btree_map("[a-z0-9._-]{1,64}", (identity(), 0..3usize), 1..8)
    ) {
        let mut text = String::from("# header\n");
        for (name, (peer, roles)) in &lines {
            text.push_str(&format!("{name} \t{} {peer} # {name}\n\n", ["operator", "auditor", "operator,auditor"][*roles]));
        }
        let mut peers: Vec<Peer> = lines.values().map(|(peer, _)| *peer).collect();
        peers.sort_by_key(Peer::to_string);
        peers.dedup();
        let is_good = peers.len() == lines.len() && lines.values().any(|(_, roles)| *roles != 1);
        let parsed = Operators::parse(&text);
        prop_assert_eq!(parsed.is_ok(), is_good);
        for (name, (peer, roles)) in lines.iter().filter(|_| is_good) {
            let found = parsed.as_ref().unwrap().find(*peer).unwrap();
            prop_assert_eq!(&found.name, name);
            let has = (found.roles.has(Role::Operator), found.roles.has(Role::Auditor));
            prop_assert_eq!(has, (*roles != 1, *roles != 0));
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(?s)[a-z:,# \t\r\n\u{0}é0-9]{0,200}") {
        let _ = Operators::parse(&text);
    }

    /// One changed byte of an identity never leaves somebody else's text as this person's.
    #[test]
    fn identities_are_exact(peer in identity(), at in 0..100usize, byte in 0x21..0x7fu8) {
        let mut text = peer.to_string().into_bytes();
        let at = at % text.len();
        prop_assume!(text[at] != byte);
        text[at] = byte;
        let changed = String::from_utf8(text).unwrap();
        prop_assert_ne!(changed.parse::<Peer>(), Ok(peer));
    }
}
