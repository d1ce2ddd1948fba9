//! Identifiers from a seed, so that randomness is an argument: a test repeats them, the binary
//! seeds from the operating system.

use rsa::{
    rand_core::{OsRng, RngCore},
    sha2::{Digest, Sha256},
};

pub struct Ids {
    seed: [u8; 32],
    counter: u64,
}

impl Ids {
    pub const fn seeded(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    pub fn from_system() -> Self {
        let mut seed = [0; 32];
        OsRng.fill_bytes(&mut seed);
        Self::seeded(seed)
    }

    /// A UUID of version 4 and variant 10 (RFC 9562 §5.4), lower case.
    pub fn uuid(&mut self) -> String {
        let mut number = u128::from_be_bytes(self.block());
        number = number & !(0xf << 76) | 0x4 << 76;
        number = number & !(0x3 << 62) | 0x2 << 62;
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            number >> 96,
            number >> 80 & 0xffff,
            number >> 64 & 0xffff,
            number >> 48 & 0xffff,
            number & 0xffff_ffff_ffff
        )
    }

    /// `count` characters drawn from `alphabet` (at most 16 bytes of randomness are spread over
    /// each of them; the tiny modulo bias does not matter for a simulator's references).
    pub fn text(&mut self, alphabet: &[u8], count: usize) -> String {
        (0..count)
            .filter_map(|_| {
                let at = u128::from_be_bytes(self.block()) % alphabet.len().max(1) as u128;
                alphabet.get(usize::try_from(at).unwrap_or(0))
            })
            .map(|byte| char::from(*byte))
            .collect()
    }

    fn block(&mut self) -> [u8; 16] {
        let digest = Sha256::new().chain_update(self.seed).chain_update(self.counter.to_be_bytes()).finalize();
        self.counter += 1;
        let mut block = [0; 16];
        block.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_version_4_and_differ() {
        let mut ids = Ids::seeded([7; 32]);
        let made: Vec<String> = (0..200).map(|_| ids.uuid()).collect();
        for id in &made {
            let bytes = id.as_bytes();
            assert_eq!(bytes.len(), 36);
            assert_eq!(bytes[14], b'4');
            assert!(b"89ab".contains(&bytes[19]), "{id}");
        }
        let distinct: std::collections::HashSet<_> = made.iter().collect();
        assert_eq!(distinct.len(), made.len());
    }

    #[test]
    fn a_seed_repeats_and_the_system_does_not() {
        assert_eq!(Ids::seeded([1; 32]).uuid(), Ids::seeded([1; 32]).uuid());
        assert_ne!(Ids::seeded([1; 32]).uuid(), Ids::seeded([2; 32]).uuid());
        assert_ne!(Ids::from_system().uuid(), Ids::from_system().uuid());
    }

    #[test]
    fn text_keeps_to_its_alphabet() {
        let text = Ids::seeded([3; 32]).text(b"0123456789", 15);
        assert_eq!(text.len(), 15);
        assert!(text.bytes().all(|byte| byte.is_ascii_digit()));
    }
}
