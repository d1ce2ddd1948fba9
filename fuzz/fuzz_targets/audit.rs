//! An exported audit: whatever the file holds, it is proved or refused, in bounded memory.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use scanvault_origin::audit::export::{Line, verify_export};
use scanvault_origin::audit::snapshot::Snapshot;
use scanvault_origin::audit::{GivenHead, PublicKey};

fuzz_target!(|data: &[u8]| {
    let (seed, file) = data.split_at(data.len().min(32));
    let mut bytes = [0; 32];
    bytes.get_mut(..seed.len()).unwrap_or_default().copy_from_slice(seed);
    let keys = [PublicKey { key_id: 2, bytes }];
    if let Ok(report) = verify_export(Cursor::new(file), &keys, &[]) {
        assert_eq!(report.links, report.chains.iter().map(|chain| chain.links).sum::<u64>());
        assert!(report.unsigned <= report.links);
    }
    let Ok(text) = std::str::from_utf8(file) else { return };
    let _ = text.parse::<GivenHead>();
    let _ = Snapshot::parse(text);
    if let Ok(line) = Line::parse(text) {
        assert_eq!(Line::parse(&line.to_text()).ok(), Some(line));
    }
});
