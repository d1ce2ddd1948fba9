//! Part of `scripts/bench vault`: the record envelope beside a bare AES-GCM call, and how long unsealing takes.
//!
//! The bare call sets its key up and draws a nonce as the envelope does: that is what one record costs without the
//! envelope's derived key, place and format.

#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that goes wrong ends here"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use scanvault_origin::vault::envelope::{self, EnvelopeKey};
use scanvault_origin::vault::{Entropy, Key32, Quorum, RecordContext, SystemEntropy, Vault, initialise};

const TEXT: &[u8] = b"4111111111111111";
const PLACE: RecordContext<'_> = RecordContext {
    account: "merchant-25",
    table: "cards",
    row: "card_AAAAAAAAAAAAAAAAAAAAAA",
    column: "pan",
    row_version: 1,
};

fn main() {
    let mut entropy = SystemEntropy::new();
    let secret = Key32::random(&mut entropy).unwrap();
    let key = EnvelopeKey::new(1, &secret);
    let sealed = envelope::seal(&key, &PLACE, TEXT, &mut entropy).unwrap();
    let (bare, tag, nonce) = bare_seal(&secret, &mut entropy);

    let seal = per_call(|| drop(black_box(envelope::seal(&key, &PLACE, TEXT, &mut entropy))));
    let bare_sealing = per_call(|| drop(black_box(bare_seal(&secret, &mut entropy))));
    let open = per_call(|| drop(black_box(envelope::open(&key, &PLACE, &sealed))));
    let bare_opening = per_call(|| drop(black_box(bare_open(&secret, &bare, &tag, &nonce))));
    println!("| record of 16 bytes | ns | bare aes-gcm ns | speed against bare |\n|---|---|---|---|");
    for (name, ours, theirs) in [("seal", seal, bare_sealing), ("open", open, bare_opening)] {
        println!("| {name} | {ours:.0} | {theirs:.0} | {:.2} x |", theirs / ours);
    }
    println!("\nunseal, the last of 3 shares of 5: {:.1} ms", unseal().as_secs_f64() * 1000.0);
}

/// Nanoseconds: the best of several rounds, as the machine is shared.
fn per_call(mut call: impl FnMut()) -> f64 {
    const CALLS: u32 = 50_000;
    let mut best = f64::MAX;
    for _ in 0..7 {
        let began = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        best = best.min(began.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    best
}

fn bare_seal(key: &Key32, entropy: &mut dyn Entropy) -> (Vec<u8>, Tag, [u8; 12]) {
    let mut nonce = [0; 12];
    entropy.fill(&mut nonce).unwrap();
    let mut text = TEXT.to_vec();
    let cipher = Aes256Gcm::new(key.expose().into());
    let tag = cipher.encrypt_inout_detached(&Nonce::from(nonce), b"", text.as_mut_slice().into()).unwrap();
    (text, tag, nonce)
}

fn bare_open(key: &Key32, sealed: &[u8], tag: &Tag, nonce: &[u8; 12]) -> Vec<u8> {
    let mut text = sealed.to_vec();
    let cipher = Aes256Gcm::new(key.expose().into());
    cipher.decrypt_inout_detached(&Nonce::from(*nonce), b"", text.as_mut_slice().into(), tag).unwrap();
    text
}

fn unseal() -> Duration {
    let new = initialise(Quorum::new(3, 5).unwrap(), 1, &mut SystemEntropy::new()).unwrap();
    let vault = Vault::new(Some(new.record));
    let texts: Vec<_> = new.shares.iter().take(3).map(|share| share.to_text().expose().to_owned()).collect();
    let mut took = Duration::ZERO;
    for text in &texts {
        let began = Instant::now();
        vault.submit_share(text, 1).unwrap();
        took = began.elapsed();
    }
    assert!(vault.unsealed().is_ok());
    took
}
