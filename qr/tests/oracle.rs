//! Module-exact against `qrcodegen`: same segments, version, level and mask.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests")]

use qrcodegen::{QrCode, QrCodeEcc, QrSegment, Version as TheirVersion};
use random::Random;
use scanvault_qr::{Ecc, Level, Mask, Matrix, Mode, Plan, Version};

#[path = "common/random.rs"]
mod random;

/// `SCANVAULT_QR_PAYLOADS` and `SCANVAULT_QR_SEED` set others (`scripts/soak qr`).
const PAYLOADS: u64 = 10_000;
const SEED: u64 = 18004;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Any bytes.
fn payload(random: &mut Random, most: usize) -> Vec<u8> {
    random.payload(most, |random| random.below(256) as u8)
}

fn theirs(payload: &[u8], plan: &Plan<'_>, mask: Mask) -> QrCode {
    let mut rest = payload;
    let segments: Vec<QrSegment> = plan
        .segments()
        .iter()
        .map(|segment| {
            let (part, tail) = rest.split_at(segment.len);
            rest = tail;
            let text = || std::str::from_utf8(part).unwrap();
            match segment.mode {
                Mode::Numeric => QrSegment::make_numeric(text()),
                Mode::Alphanumeric => QrSegment::make_alphanumeric(text()),
                Mode::Byte => QrSegment::make_bytes(part),
            }
        })
        .collect();
    let level = match plan.level() {
        Level::L => QrCodeEcc::Low,
        Level::M => QrCodeEcc::Medium,
        Level::Q => QrCodeEcc::Quartile,
        Level::H => QrCodeEcc::High,
    };
    let (least, most) = (TheirVersion::MIN, TheirVersion::MAX);
    let mask = qrcodegen::Mask::new(mask.number());
    QrCode::encode_segments_advanced(&segments, level, least, most, Some(mask), false).unwrap()
}

fn assert_same(ours: &Matrix, theirs: &QrCode) {
    assert_eq!(ours.version().number(), theirs.version().value());
    for y in 0..ours.size() {
        for x in 0..ours.size() {
            let dark = theirs.get_module(x as i32, y as i32);
            assert_eq!(ours.is_dark(x, y), dark, "{:?} at {x}, {y}", ours.version());
        }
    }
}

#[test]
fn modules_equal_those_of_qrcodegen() {
    let mut random = Random::new(setting("SCANVAULT_QR_SEED", SEED));
    // Every pair of version and level, and every mask, must have been met.
    let mut met = std::collections::BTreeSet::new();
    let mut masks = [0_u32; 8];
    let payloads = setting("SCANVAULT_QR_PAYLOADS", PAYLOADS);
    let (mut compared, mut i) = (0, 0_usize);
    while compared < payloads {
        i += 1;
        let level = Level::ALL[random.below(4)];
        // Most payloads are short, as in life; one in eight reaches the large versions.
        let most = if i % 8 == 0 { 3000 } else { 250 };
        let payload = payload(&mut random, most);
        let Ok(plan) = Plan::new(&payload, Ecc::Fixed(level)) else {
            assert!(payload.len() > 1200, "{} bytes at {level:?}", payload.len());
            continue;
        };
        // Every eighth mask is our own choice, the others are forced.
        let ours = match i % 8 {
            1 => plan.draw(),
            _ => plan.draw_with(Mask::all().nth(random.below(8)).unwrap()),
        };
        assert_same(&ours, &theirs(&payload, &plan, ours.mask()));
        compared += 1;
        met.insert((ours.version(), ours.level() as u8));
        masks[usize::from(ours.mask().number())] += 1;
    }
    println!("{compared} payloads compared, {} of 160 version-level pairs, masks {masks:?}", met.len());
    assert!(masks.iter().all(|&count| count > 0));
    assert_eq!(met.iter().map(|pair| pair.0).collect::<std::collections::BTreeSet<_>>().len(), 40);
}

#[test]
fn every_version_level_and_mask_equals_qrcodegen() {
    let mut random = Random::new(6);
    for level in Level::ALL {
        let mut least = 1;
        for version in Version::all() {
            // The longest message that fits, found by growing: it also fills every codeword.
            let payload: Vec<u8> = (0..3000).map(|_| random.below(256) as u8 | 0x80).collect();
            let fits = |len: usize| {
                let plan = Plan::new(&payload[..len], Ecc::Fixed(level));
                plan.is_ok_and(|plan| plan.version() <= version)
            };
            let longest = (least..3000).take_while(|&len| fits(len)).last().unwrap();
            least = longest;
            let plan = Plan::new(&payload[..longest], Ecc::Fixed(level)).unwrap();
            assert_eq!(plan.version(), version);
            for mask in Mask::all() {
                assert_same(&plan.draw_with(mask), &theirs(&payload[..longest], &plan, mask));
            }
        }
    }
}

#[test]
fn automatic_level_is_the_highest_free_one() {
    let mut random = Random::new(8);
    for _ in 0..2000 {
        let payload = payload(&mut random, 300);
        let of = |ecc| Plan::new(&payload, ecc).unwrap();
        let (auto, medium) = (of(Ecc::Auto), of(Ecc::Fixed(Level::M)));
        assert_eq!(auto.version(), medium.version());
        for level in Level::ALL.into_iter().filter(|&level| level > auto.level()) {
            assert!(of(Ecc::Fixed(level)).version() > auto.version());
        }
        assert!(of(Ecc::Fixed(auto.level())).version() == auto.version());
    }
}

#[test]
fn the_versions_that_our_payloads_need() {
    let needs = |payload: &str, ecc| {
        let plan = Plan::new(payload.as_bytes(), ecc).unwrap();
        (plan.version().number(), plan.level())
    };
    assert_eq!(needs("0123456789", Ecc::Auto), (1, Level::H));
    assert_eq!(needs("HTTPS://PAY.EXAMPLE.COM/Q/0123456789", Ecc::Auto), (2, Level::M));
    assert_eq!(needs("https://app.scantopay.io/qr?qrcode=8962148867", Ecc::Auto), (3, Level::M));
    assert_eq!(needs("https://qa.scantopay.io/pluto/public/qr/8784599487", Ecc::Fixed(Level::L)), (3, Level::L));
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(Plan::new(&[b'0'; 7089], Ecc::Fixed(Level::L)).is_ok());
    assert!(Plan::new(&[b'0'; 7090], Ecc::Fixed(Level::L)).is_err());
    assert!(Plan::new(&[b'A'; 4296], Ecc::Fixed(Level::L)).is_ok());
    assert!(Plan::new(&[b'A'; 4297], Ecc::Fixed(Level::L)).is_err());
    assert!(Plan::new(&[b'a'; 2331], Ecc::Auto).is_ok());
    assert!(Plan::new(&[b'a'; 2332], Ecc::Auto).is_err());
}
