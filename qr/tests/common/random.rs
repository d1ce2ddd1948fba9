//! Payloads from a seed, for the tests and for the images that other decoders read.

/// SplitMix64: enough for test data, and the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Runs of digits, upper-case text and bytes, up to so many. `byte` makes the bytes: all, or those of a text.
    pub(crate) fn payload(&mut self, most: usize, byte: impl Fn(&mut Self) -> u8) -> Vec<u8> {
        let len = self.below(most) + 1;
        let pure = self.below(5);
        let mut payload = Vec::with_capacity(len);
        while payload.len() < len {
            let kind = if pure < 3 { pure } else { self.below(3) };
            for _ in 0..self.below(40) + 1 {
                payload.push(match kind {
                    0 => b'0' + self.below(10) as u8,
                    1 => b"ABCXYZ019 $%*+-./:"[self.below(18)],
                    _ => byte(self),
                });
            }
        }
        payload.truncate(len);
        payload
    }
}
