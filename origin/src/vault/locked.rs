//! Memory for keys: locked (no swap), left out of core dumps and of forked children, wiped when a key goes.
//!
//! ```text
//! chunk, 64 KiB, aligned to its size, so that whole pages of any size up to that are ours alone
//!  ┌────────┬────────┬────────┬───┬────────┐
//!  │ unit 0 │ unit 1 │ unit 2 │ … │  1023  │   64 bytes each; a key of 32 bytes takes one, a cipher's state a few
//!  └────────┴────────┴────────┴───┴────────┘
//! ```
//!
//! Keys share pages: a page for each would use up the usual RLIMIT_MEMLOCK of 8 MiB with 2,048 of them. A chunk is
//! taken when the ones before it are full, and is kept. Where the kernel refuses (RLIMIT_MEMLOCK, a sandbox), keys live
//! there all the same and `vault status` says so.
//!
//! Not covered: registers, and the stack while a key is in use; what AWS-LC keeps of a page or login key (it wipes that
//! when it frees it); a hibernation image; a guest's memory as its hypervisor sees it. memfd_secret(2) would also hide
//! the pages from root, but most kernels have it switched off.

use std::ffi::c_void;
use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, madvise, mlock};
use zeroize::Zeroize;

/// A cache line: keys of two threads do not share one.
const UNIT: usize = 64;
const CHUNK: usize = 64 * 1024;

static POOL: Mutex<Pool> = Mutex::new(Pool { chunks: Vec::new() });

/// A value in locked memory. Its drop runs, then its bytes are wiped.
pub(super) struct Locked<T: ?Sized> {
    value: NonNull<T>,
    /// Dropped after the value, and wipes what was under it.
    _place: Place,
}

/// What the pool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PoolStatus {
    pub(super) bytes: usize,
    /// Every chunk is locked, left out of dumps and not inherited.
    pub(super) protected: bool,
}

impl<T> Locked<T> {
    /// Moves a value in. The caller's own copy, where the compiler made one, is the caller's to wipe.
    pub(super) fn new(value: T) -> Self {
        const { assert!(align_of::<T>() <= UNIT) };
        let place = Place::take(&POOL, size_of::<T>());
        let at = place.start.cast::<T>();
        #[expect(unsafe_code, reason = "the place is ours alone, large enough, and aligned to a unit")]
        unsafe {
            at.write(value);
        }
        Self { value: at, _place: place }
    }
}

impl Locked<[u8]> {
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        let place = Place::take(&POOL, bytes.len());
        let at = place.start;
        #[expect(unsafe_code, reason = "the place is ours alone, as long as `bytes`, and a new one never overlaps it")]
        unsafe {
            at.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len());
        }
        Self { value: NonNull::slice_from_raw_parts(at, bytes.len()), _place: place }
    }
}

impl<T: ?Sized> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        #[expect(unsafe_code, reason = "written when it was made, valid until the drop, and borrowed like self")]
        unsafe {
            self.value.as_ref()
        }
    }
}

impl<T: ?Sized> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        #[expect(unsafe_code, reason = "as deref; `&mut self` is the only way to it")]
        unsafe {
            self.value.as_mut()
        }
    }
}

impl<T: ?Sized> Drop for Locked<T> {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "valid until here, and never used again")]
        unsafe {
            self.value.drop_in_place();
        }
    }
}

#[expect(unsafe_code, reason = "it owns its value, as a Box does")]
unsafe impl<T: ?Sized + Send> Send for Locked<T> {}
#[expect(unsafe_code, reason = "it lends its value only by &self, as a Box does")]
unsafe impl<T: ?Sized + Sync> Sync for Locked<T> {}

impl<T: ?Sized> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(secret)")
    }
}

/// Takes the first chunk, so that the status is known from the start.
pub(super) fn prepare() {
    drop(Place::take(&POOL, UNIT));
}

/// How the keys' memory stands.
pub(super) fn status() -> PoolStatus {
    lock(&POOL).status()
}

/// Units of a pool that one value has to itself.
struct Place {
    pool: &'static Mutex<Pool>,
    start: NonNull<u8>,
    units: usize,
}

impl Place {
    fn take(pool: &'static Mutex<Pool>, bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT).max(1);
        Self { pool, start: lock(pool).take(units), units }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the units are ours until they are given back below; any bytes may stand there")]
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(self.start.cast::<MaybeUninit<u8>>().as_ptr(), self.units * UNIT) };
        bytes.zeroize();
        lock(self.pool).give_back(self.start, self.units);
    }
}

/// A panic elsewhere cannot leave the pool half-written: it allocates before it marks.
fn lock(pool: &Mutex<Pool>) -> MutexGuard<'_, Pool> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Pool {
    chunks: Vec<Chunk>,
}

impl Pool {
    fn take(&mut self, units: usize) -> NonNull<u8> {
        if let Some(start) = self.chunks.iter_mut().find_map(|chunk| chunk.take(units)) {
            return start;
        }
        let (chunk, start) = Chunk::with_first(units);
        self.chunks.push(chunk);
        start
    }

    fn give_back(&mut self, start: NonNull<u8>, units: usize) {
        for chunk in &mut self.chunks {
            chunk.give_back(start, units);
        }
    }

    fn status(&self) -> PoolStatus {
        PoolStatus {
            bytes: self.chunks.iter().map(|chunk| chunk.used.len() * UNIT).sum(),
            protected: !self.chunks.is_empty() && self.chunks.iter().all(|chunk| chunk.protected),
        }
    }
}

/// Whole pages. Kept until the process ends, so that no place ever outlives its memory.
#[repr(align(65536))]
struct Pages(#[expect(dead_code, reason = "reached through pointers only")] [u8; CHUNK]);

struct Chunk {
    start: NonNull<u8>,
    used: Vec<bool>,
    protected: bool,
}

#[expect(unsafe_code, reason = "the pointer is to leaked memory; the pool's lock guards who has which part of it")]
unsafe impl Send for Chunk {}

impl Chunk {
    /// A new chunk, more than one long where the value is, whose first units are taken.
    fn with_first(units: usize) -> (Self, NonNull<u8>) {
        let pages = Box::leak(Box::<[Pages]>::new_uninit_slice((units * UNIT).div_ceil(CHUNK)));
        let bytes = size_of_val(pages);
        let start = NonNull::from(pages).cast::<u8>();
        let used = (0..bytes / UNIT).map(|unit| unit < units).collect();
        (Self { start, used, protected: protect(start.cast(), bytes) }, start)
    }

    fn take(&mut self, units: usize) -> Option<NonNull<u8>> {
        let first = self.used.windows(units).position(|run| run.iter().all(|used| !used))?;
        for used in self.used.iter_mut().skip(first).take(units) {
            *used = true;
        }
        #[expect(unsafe_code, reason = "`first` is a unit of this chunk")]
        Some(unsafe { self.start.add(first * UNIT) })
    }

    /// Nothing when the place is another chunk's.
    fn give_back(&mut self, start: NonNull<u8>, units: usize) {
        let offset = start.addr().get().checked_sub(self.start.addr().get());
        let Some(first) = offset.map(|bytes| bytes / UNIT).filter(|first| *first < self.used.len()) else { return };
        for used in self.used.iter_mut().skip(first).take(units) {
            *used = false;
        }
    }
}

/// All three, or false. A fork without the pages: a child that looked for a key would end rather than work with zeros.
fn protect(start: NonNull<c_void>, bytes: usize) -> bool {
    #[expect(unsafe_code, reason = "these are whole pages of a live allocation that nothing else shares")]
    unsafe {
        let locked = mlock(start.as_ptr(), bytes);
        let not_dumped = madvise(start.as_ptr(), bytes, Advice::LinuxDontDump);
        let not_forked = madvise(start.as_ptr(), bytes, Advice::LinuxDontFork);
        locked.is_ok() && not_dumped.is_ok() && not_forked.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn own_pool() -> &'static Mutex<Pool> {
        Box::leak(Box::new(Mutex::new(Pool { chunks: Vec::new() })))
    }

    fn bytes_at(start: NonNull<u8>, length: usize) -> Vec<u8> {
        #[expect(unsafe_code, reason = "a pool keeps its memory, and these bytes were written before")]
        let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), length) };
        bytes.to_vec()
    }

    #[test]
    fn a_value_lives_in_its_place_and_leaves_zeros() {
        let pool = own_pool();
        let place = Place::take(pool, 100);
        let start = place.start;
        #[expect(unsafe_code, reason = "the place is 128 bytes of ours")]
        unsafe {
            start.write_bytes(0xab, 128);
        }
        assert_eq!(bytes_at(start, 128), [0xab; 128]);
        // A neighbour stays as it is.
        let neighbour = Place::take(pool, 1);
        #[expect(unsafe_code, reason = "the place is 64 bytes of ours")]
        unsafe {
            neighbour.start.write_bytes(0xcd, 64);
        }
        drop(place);
        assert_eq!(bytes_at(start, 128), [0; 128]);
        assert_eq!(bytes_at(neighbour.start, 64), [0xcd; 64]);
        // And the place is given again.
        assert_eq!(Place::take(pool, 128).start, start);
    }

    #[test]
    fn places_never_overlap_and_a_full_chunk_is_followed_by_another() {
        let pool = own_pool();
        let mut places: Vec<Place> = (0..3000).map(|n| Place::take(pool, 1 + n % 200)).collect();
        let check = |places: &[Place]| {
            let mut spans: Vec<_> = places.iter().map(|place| (place.start.addr().get(), place.units * UNIT)).collect();
            spans.sort_unstable();
            assert!(spans.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
            assert!(spans.iter().all(|(start, _)| start % UNIT == 0));
        };
        check(&places);
        let bytes = lock(pool).status().bytes;
        let needed: usize = places.iter().map(|place| place.units * UNIT).sum();
        assert!(bytes > CHUNK && bytes - needed < CHUNK, "{bytes} for {needed}");
        // Every second one goes and comes again: no more memory is taken.
        let mut turn = false;
        places.retain(|_| {
            turn = !turn;
            turn
        });
        places.extend((0..1500).map(|n| Place::take(pool, 1 + (2 * n + 1) % 200)));
        check(&places);
        assert_eq!(lock(pool).status().bytes, bytes);
        drop(places);
        assert!(lock(pool).chunks.iter().all(|chunk| chunk.used.iter().all(|used| !used)));
        // A value longer than a chunk has one of its own.
        assert_eq!(Place::take(pool, 3 * CHUNK + 1).units, 3 * 1024 + 1);
        assert_eq!(lock(pool).status().bytes, bytes + 4 * CHUNK);
    }

    #[test]
    fn the_kernel_confirms_that_the_pages_are_locked_and_left_out() {
        let value = Locked::copy_of(b"some key");
        assert_eq!(&*value, b"some key");
        if !status().protected {
            return; // RLIMIT_MEMLOCK of whoever runs this; the status says so, and the value is there
        }
        let address = value.value.cast::<u8>().addr().get();
        let flags = flags_of(address).unwrap();
        for flag in ["lo", "dd", "dc"] {
            assert!(flags.split(' ').any(|word| word == flag), "{flag} is not among {flags}");
        }
        // The look is not one that is always content.
        let ordinary = flags_of(vec![0_u8; 64].as_ptr().addr()).unwrap();
        assert!(!ordinary.split(' ').any(|word| word == "lo"), "{ordinary}");
    }

    /// `VmFlags` of the mapping that holds `address`.
    fn flags_of(address: usize) -> Option<String> {
        let mut inside = false;
        for line in std::fs::read_to_string("/proc/self/smaps").unwrap().lines() {
            if let Some((from, to)) = line.split(' ').next().and_then(|word| word.split_once('-')) {
                let parse = |text| usize::from_str_radix(text, 16).unwrap();
                inside = (parse(from)..parse(to)).contains(&address);
            } else if let Some(flags) = line.strip_prefix("VmFlags: ").filter(|_| inside) {
                return Some(flags.to_owned());
            }
        }
        None
    }

    #[test]
    fn a_value_is_dropped_once_from_any_thread() {
        struct Counted(Arc<AtomicUsize>, u8);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.fetch_add(usize::from(self.1), Ordering::SeqCst);
            }
        }
        let drops = Arc::new(AtomicUsize::new(0));
        let mut value = Locked::new(Counted(Arc::clone(&drops), 1));
        value.1 = 5;
        std::thread::spawn(move || drop(value)).join().unwrap();
        assert_eq!(drops.load(Ordering::SeqCst), 5);
    }
}
