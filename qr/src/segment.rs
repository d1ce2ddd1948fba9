//! Optimal segmentation: the split into numeric, alphanumeric and byte runs with the fewest bits.
#![expect(
    clippy::indexing_slicing,
    reason = "indexed by mode (three entries) and by table bounds"
)]

use crate::version::Version;

/// How a run of the message is written (ISO/IEC 18004 §7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Three digits in ten bits.
    Numeric,
    /// Two of 45 characters in eleven bits.
    Alphanumeric,
    /// Eight bits each.
    Byte,
}

/// A run of the message in one mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    pub mode: Mode,
    /// Length in bytes of the message.
    pub len: usize,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Numeric, Self::Alphanumeric, Self::Byte];

    /// The mode indicator (table 2).
    pub(crate) fn indicator(self) -> u32 {
        match self {
            Self::Numeric => 0b0001,
            Self::Alphanumeric => 0b0010,
            Self::Byte => 0b0100,
        }
    }

    /// Bits of the character count (table 3).
    pub(crate) fn count_bits(self, version: Version) -> u32 {
        let widths = match self {
            Self::Numeric => [10, 12, 14],
            Self::Alphanumeric => [9, 11, 13],
            Self::Byte => [8, 16, 16],
        };
        widths[size_class(version)]
    }

    /// Sixths of a bit for one more character. Rounded up to whole bits where a segment ends,
    /// they give exactly the lengths of §7.4.3 and §7.4.4.
    fn sixths(self) -> u32 {
        match self {
            Self::Numeric => 20,
            Self::Alphanumeric => 33,
            Self::Byte => 48,
        }
    }

    fn takes(self, byte: u8) -> bool {
        match self {
            Self::Numeric => byte.is_ascii_digit(),
            Self::Alphanumeric => alphanumeric(byte).is_some(),
            Self::Byte => true,
        }
    }
}

/// Bits of a segmentation at this version, headers included.
pub(crate) fn bit_length(segments: &[Segment], version: Version) -> usize {
    let of = |segment: &Segment| {
        let header = 4 + segment.mode.count_bits(version) as usize;
        header + (segment.len * segment.mode.sixths() as usize).div_ceil(6)
    };
    segments.iter().map(of).sum()
}

/// The position of a character in the alphanumeric set (table 5).
pub(crate) fn alphanumeric(byte: u8) -> Option<u32> {
    let value = ALPHANUMERIC[usize::from(byte)];
    (value < 45).then_some(u32::from(value))
}

/// The shortest segmentation for the versions that share `version`'s count widths.
///
/// Dynamic programming over characters: per mode, the cheapest way to have written everything so
/// far and to stand in a segment of that mode. Costs are in sixths of a bit.
pub(crate) fn segment(message: &[u8], version: Version) -> Vec<Segment> {
    let headers = Mode::ALL.map(|mode| 6 * (4 + mode.count_bits(version)));
    let mut costs = headers;
    // For each character and mode, the mode of the character before it on the cheapest way.
    let mut came_from = Vec::with_capacity(message.len());
    for &byte in message {
        let ended = costs.map(|cost| {
            if cost == NO_WAY {
                NO_WAY
            } else {
                cost.div_ceil(6) * 6
            }
        });
        let mut from = [0_u8, 1, 2];
        let mut next = [NO_WAY; 3];
        for (to, mode) in Mode::ALL.into_iter().enumerate() {
            if !mode.takes(byte) {
                continue;
            }
            let mut best = costs[to];
            // At the first character the three headers are paid already: nothing to switch from.
            for before in if came_from.is_empty() { 0..0 } else { 0..3 } {
                let switched = ended[before].saturating_add(headers[to]);
                if before != to && switched < best {
                    best = switched;
                    from[to] = before as u8;
                }
            }
            next[to] = best.saturating_add(mode.sixths());
        }
        came_from.push(from);
        costs = next;
    }
    trace_back(&came_from, costs)
}

fn trace_back(came_from: &[[u8; 3]], costs: [u32; 3]) -> Vec<Segment> {
    let ended = costs.map(|cost| cost.div_ceil(6));
    let mut mode = (0..3).min_by_key(|&mode| ended[mode]).unwrap_or(2);
    let mut segments: Vec<Segment> = Vec::new();
    let mut current: Option<usize> = None;
    for from in came_from.iter().rev() {
        match segments.last_mut() {
            Some(last) if current == Some(mode) => last.len += 1,
            _ => segments.push(Segment {
                mode: Mode::ALL[mode],
                len: 1,
            }),
        }
        current = Some(mode);
        mode = usize::from(from[mode]);
    }
    segments.reverse();
    segments
}

/// A mode that cannot write what came so far. Half the range, so that sums stay ordered.
const NO_WAY: u32 = u32::MAX / 2;

fn size_class(version: Version) -> usize {
    match version.number() {
        ..=9 => 0,
        10..=26 => 1,
        _ => 2,
    }
}

const ALPHANUMERIC: [u8; 256] = {
    let set = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
    let mut table = [255; 256];
    let mut value = 0;
    while value < set.len() {
        table[set[value] as usize] = value as u8;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cost(message: &[u8], version: Version) -> usize {
        bit_length(&segment(message, version), version)
    }

    /// The same optimum found by trying every first segment of every rest.
    fn exhaustive(message: &[u8], version: Version) -> usize {
        let mut best = vec![usize::MAX; message.len() + 1];
        best[message.len()] = 0;
        for start in (0..message.len()).rev() {
            for end in start + 1..=message.len() {
                for mode in Mode::ALL {
                    if message[start..end].iter().all(|&byte| mode.takes(byte)) {
                        let one = Segment {
                            mode,
                            len: end - start,
                        };
                        best[start] = best[start].min(bit_length(&[one], version) + best[end]);
                    }
                }
            }
        }
        best[0]
    }

    #[test]
    fn known_splits() {
        let v1 = Version::new(1).unwrap();
        assert_eq!(
            segment(b"0123456789", v1),
            [Segment {
                mode: Mode::Numeric,
                len: 10
            }]
        );
        let url = b"HTTPS://PAY.EXAMPLE.COM/Q/0123456789";
        let modes: Vec<_> = segment(url, v1).iter().map(|s| (s.mode, s.len)).collect();
        assert_eq!(modes, [(Mode::Alphanumeric, 26), (Mode::Numeric, 10)]);
        assert_eq!(segment(b"", v1), []);
    }

    proptest! {
        #[test]
        fn no_split_is_shorter(message in "([0-9]{0,9}[A-Z ]{0,9}[a-z]{0,4}){0,6}", v in 1_u8..=40) {
            let version = Version::new(v).unwrap();
            prop_assert_eq!(cost(message.as_bytes(), version), exhaustive(message.as_bytes(), version));
        }

        #[test]
        fn segments_cover_the_message(message: Vec<u8>) {
            let segments = segment(&message, Version::MAX);
            prop_assert_eq!(segments.iter().map(|s| s.len).sum::<usize>(), message.len());
            let mut at = 0;
            for s in segments {
                prop_assert!(message[at..at + s.len].iter().all(|&b| s.mode.takes(b)));
                at += s.len;
            }
        }
    }
}
