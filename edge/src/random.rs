//! Random bytes. The runtime is asked for many at once, since that costs it as much as few; each is given out once, and
//! wiped here. Nothing secret is made of them: names of requests, nonces, moments of probes.

use core::cell::RefCell;

const AT_ONCE: usize = 512;

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock::empty()) };
}

/// Random bytes, `None` when the runtime has none.
#[must_use]
pub fn bytes<const N: usize>() -> Option<[u8; N]> {
    STOCK.with_borrow_mut(|stock| stock.take(|into| getrandom::fill(into).is_ok()))
}

/// 32 lower-case hex digits.
#[must_use]
pub fn id() -> Option<String> {
    let digit = |value: u8| char::from_digit(u32::from(value), 16);
    bytes::<16>()?.into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Bytes that were not given out yet: the first `left`.
struct Stock {
    bytes: [u8; AT_ONCE],
    left: usize,
}

impl Stock {
    const fn empty() -> Self {
        Self { bytes: [0; AT_ONCE], left: 0 }
    }

    fn take<const N: usize>(&mut self, fill: impl FnOnce(&mut [u8]) -> bool) -> Option<[u8; N]> {
        if self.left < N {
            self.left = 0;
            if !fill(&mut self.bytes) {
                return None;
            }
            self.left = AT_ONCE;
        }
        let rest = self.left.checked_sub(N)?;
        let given = self.bytes.get_mut(rest..self.left)?;
        let taken = (&*given).try_into().ok()?;
        given.fill(0);
        self.left = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_is_given_out_once() {
        let mut stock = Stock::empty();
        let mut fills = 0_u16;
        let mut seen = Vec::new();
        for _ in 0..64 {
            let fill = |into: &mut [u8]| {
                // Pairs that never come twice.
                for (at, pair) in into.chunks_exact_mut(2).enumerate() {
                    pair.copy_from_slice(&(fills * 256 + u16::try_from(at).unwrap() + 1).to_be_bytes());
                }
                fills += 1;
                true
            };
            let taken: [u8; 16] = stock.take(fill).unwrap();
            seen.extend(taken.chunks_exact(2).map(<[u8]>::to_vec));
        }
        assert_eq!(fills, 2);
        assert_eq!(stock.bytes, [0; AT_ONCE], "what was given out is wiped");
        let given = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), given);
    }

    #[test]
    fn without_randomness_there_are_no_bytes() {
        let mut stock = Stock::empty();
        assert_eq!(stock.take::<16>(|_| false), None);
        let _: [u8; 500] = stock.take(|_| true).unwrap();
        // What was left is not mixed with what could not be had.
        assert_eq!(stock.take::<16>(|_| false), None);
        assert!(stock.take::<16>(|_| true).is_some());
        assert!(stock.take::<513>(|_| true).is_none(), "more than there ever are");
    }

    #[test]
    fn an_id_is_32_hex_digits() {
        let id = id().unwrap();
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)),
            "{id}"
        );
        assert_ne!(super::id(), Some(id));
    }
}
