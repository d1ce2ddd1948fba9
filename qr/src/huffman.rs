//! Canonical Huffman codes for deflate (RFC 1951 §3.2.2).
#![expect(
    clippy::indexing_slicing,
    reason = "at most 286 symbols; every array here holds them all"
)]

/// The largest alphabet: literals, end of block, lengths.
pub(crate) const SYMBOLS: usize = 286;

/// A code word as deflate writes it, first bit lowest. Length 0: the symbol does not occur.
#[derive(Clone, Copy, Default)]
pub(crate) struct Code {
    pub(crate) bits: u32,
    pub(crate) len: u32,
}

/// The shortest prefix code for these frequencies with no word longer than `limit`.
pub(crate) fn codes<const N: usize>(counts: &[u32; N], limit: u32) -> [Code; N] {
    let (mut by_weight, mut by_symbol) = ([(0, 0); N], [0_u16; N]);
    let mut used = 0;
    for (symbol, &count) in counts.iter().enumerate() {
        if count > 0 {
            by_weight[used] = (count, symbol as u16);
            by_symbol[used] = symbol as u16;
            used += 1;
        }
    }
    let by_weight = &mut by_weight[..used];
    by_weight.sort_unstable();
    let mut codes = [Code::default(); N];
    loop {
        let lengths = tree_depths::<N>(by_weight);
        for (&(_, symbol), &len) in by_weight.iter().zip(&lengths) {
            codes[usize::from(symbol)].len = u32::from(len);
        }
        if lengths[..used].iter().all(|&len| u32::from(len) <= limit) {
            break;
        }
        // Flatter weights give a flatter tree; equal weights end at nine levels.
        for (weight, _) in by_weight.iter_mut() {
            *weight = weight.div_ceil(2);
        }
    }
    number(&mut codes, &by_symbol[..used]);
    codes
}

/// Depth of each leaf of the Huffman tree, for weights in ascending order.
///
/// Inner nodes come into being in ascending order too, so the two lightest are always at the
/// heads of two queues: the leaves, and the inner nodes behind them.
fn tree_depths<const N: usize>(leaves: &[(u32, u16)]) -> [u8; N] {
    let mut depths = [0; N];
    let n = leaves.len();
    if n < 2 {
        // RFC 1951 §3.2.7: a single distance code has one bit.
        depths[0] = 1;
        return depths;
    }
    let mut weights = [0; N];
    let (mut leaf_parents, mut inner_parents) = ([0_u16; N], [0_u16; N]);
    let (mut leaf, mut inner) = (0, 0);
    for next in 0..n - 1 {
        for _ in 0..2 {
            if leaf < n && (inner == next || leaves[leaf].0 <= weights[inner]) {
                weights[next] += leaves[leaf].0;
                leaf_parents[leaf] = next as u16;
                leaf += 1;
            } else {
                weights[next] += weights[inner];
                inner_parents[inner] = next as u16;
                inner += 1;
            }
        }
    }
    // The root is the last inner node.
    let mut inner_depths = [0; N];
    for node in (0..n - 2).rev() {
        inner_depths[node] = inner_depths[usize::from(inner_parents[node])] + 1;
    }
    for (depth, &parent) in depths.iter_mut().zip(&leaf_parents[..n]) {
        *depth = inner_depths[usize::from(parent)] + 1;
    }
    depths
}

/// Gives the lengths their canonical words: by length, then by symbol.
fn number(codes: &mut [Code], symbols: &[u16]) {
    let mut next = [0_u32; 17];
    for &symbol in symbols {
        next[codes[usize::from(symbol)].len as usize + 1] += 1;
    }
    // `next[len]` is how many are one shorter; all those words with one more bit come first.
    for len in 1..17 {
        next[len] = (next[len - 1] + next[len]) << 1;
    }
    for &symbol in symbols {
        let code = &mut codes[usize::from(symbol)];
        let word = &mut next[code.len as usize];
        code.bits = word.reverse_bits() >> (32 - code.len);
        *word += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn codes_are_complete_prefix_free_and_limited(
            counts: [u16; 32], shift in 0_u32..16, limit in 7_u32..16,
        ) {
            let mut counts = counts.map(|count| u32::from(count >> shift));
            counts[3] = 1;
            counts[20] = 60_000;
            let codes = codes(&counts, limit);
            let used: Vec<_> = codes.iter().filter(|code| code.len > 0).collect();
            prop_assert_eq!(used.len(), counts.iter().filter(|&&count| count > 0).count());
            prop_assert!(used.iter().all(|code| code.len <= limit));
            // Kraft's sum is one: no word is wasted, none is the start of another by counting.
            prop_assert_eq!(used.iter().map(|code| 1 << (16 - code.len)).sum::<u32>(), 1 << 16);
            for (i, a) in used.iter().enumerate() {
                for b in used.iter().skip(i + 1) {
                    let len = a.len.min(b.len);
                    prop_assert_ne!(a.bits & ((1 << len) - 1), b.bits & ((1 << len) - 1));
                }
            }
        }
    }

    #[test]
    fn fibonacci_weights_are_flattened_to_the_limit() {
        let mut counts = [0; 30];
        let (mut a, mut b) = (1, 1);
        for count in &mut counts {
            *count = a;
            (a, b) = (b, a + b);
        }
        let codes = codes(&counts, 7);
        assert!(codes.iter().all(|code| (1..=7).contains(&code.len)));
    }
}
