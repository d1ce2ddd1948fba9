//! How headers cross to the runtime's side, and what many answers have: that is told there once, and by number from then
//! on, the shapes of headers and bodies. Both are bounded. A module that is started anew has told nothing yet, and takes the
//! numbers over.

use core::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::JsValue;

use crate::host;

/// The number that no shape has: what goes under it is not kept.
pub(crate) const NONE: u32 = u32::MAX;

/// More shapes than there are kinds of requests and answers.
const MAX_SHAPES: usize = 128;
/// As many bodies are kept on the runtime's side, each no longer than `answer::MAX_KEPT_BYTES`.
const MAX_BODIES: usize = 256;

/// Names, with the value where it is the same in all headers of this shape.
type Shape = Vec<(&'static str, Option<&'static str>)>;
/// Held, so that nothing else can come to lie at the same address.
type Bodies = [Option<Rc<[u8]>>; MAX_BODIES];

thread_local! {
    static SHAPES: RefCell<Vec<Shape>> = const { RefCell::new(Vec::new()) };
    static BODIES: RefCell<Bodies> = const { RefCell::new([const { None }; MAX_BODIES]) };
}

/// The number of the headers of this shape. Who uses it writes every value that is not constant: what stands there is that
/// of the last one.
///
/// # Errors
/// What the runtime throws when a name or value is none.
pub(crate) fn shape(
    headers: impl Iterator<Item = (&'static str, Option<&'static str>)> + Clone,
) -> Result<u32, JsValue> {
    SHAPES.with_borrow_mut(|all| {
        let known = all.iter().position(|one| one.iter().copied().eq(headers.clone()));
        let at = known.unwrap_or(all.len());
        let number = u32::try_from(at).unwrap_or(NONE);
        if known.is_none() {
            if at >= MAX_SHAPES {
                return Ok(NONE);
            }
            let constant = headers.clone().filter_map(|(name, value)| Some((name, value?)));
            host::keep_headers(number, &lines("", constant)?)?;
            all.push(headers.collect());
        }
        Ok(number)
    })
}

/// The number of a body. Told again when another one had taken its place.
#[must_use]
pub(crate) fn body(bytes: &Rc<[u8]>) -> u32 {
    // Allocations are 8 bytes apart at least; those that are made one after another get places side by side.
    let at = (bytes.as_ptr().addr() / 8) % MAX_BODIES;
    let number = u32::try_from(at).unwrap_or_default();
    BODIES.with_borrow_mut(|all| {
        let Some(place) = all.get_mut(at) else { return };
        if !place.as_ref().is_some_and(|known| Rc::ptr_eq(known, bytes)) {
            host::keep_body(number, bytes);
            *place = Some(Rc::clone(bytes));
        }
    });
    number
}

/// A line for each name and each value after the first one. One that holds a line break would pass for others. All room is
/// taken at once: a text that grows leaves copies behind, and nobody would wipe those.
pub(crate) fn lines<'h>(
    first: &str,
    headers: impl Iterator<Item = (&'static str, &'h str)> + Clone,
) -> Result<String, JsValue> {
    let length = headers.clone().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>();
    let mut text = String::with_capacity(first.len() + length);
    text.push_str(first);
    let mut is_broken = first.contains('\n');
    for (name, value) in headers {
        is_broken |= value.contains('\n');
        for part in ["\n", name, "\n", value] {
            text.push_str(part);
        }
    }
    if is_broken { Err(JsValue::NULL) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_lines_leaves_no_copies_and_lets_no_value_pass_for_others() {
        let credential = "x".repeat(6000);
        let headers = [("scanvault-host", "pay.example"), ("authorization", credential.as_str()), ("signature", "s")];
        let text = lines("OK", headers.into_iter()).unwrap_or_default();
        assert_eq!(text, format!("OK\nscanvault-host\npay.example\nauthorization\n{credential}\nsignature\ns"));
        assert_eq!(text.capacity(), text.len());
        assert!(lines("", [("etag", "a\nset-cookie\nb")].into_iter()).is_err());
        assert!(lines("OK\nset-cookie", [("etag", "a")].into_iter()).is_err());
    }
}
