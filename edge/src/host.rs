//! What `js/host.js` and the runtime offer, declared. Each call costs a little, each text that crosses a little more, so
//! what belongs together crosses together.

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::step::Task;

#[wasm_bindgen]
extern "C" {
    /// The runtime's `Request`.
    #[derive(Clone, Debug)]
    pub type Request;
    /// The runtime's `Response`.
    #[derive(Clone, Debug)]
    pub type Response;
    /// A body that the runtime pumps by itself.
    #[derive(Clone, Debug)]
    pub type Stream;
    /// The bindings.
    #[derive(Clone, Debug)]
    pub type Env;
    /// What outlives the answer.
    #[derive(Clone, Debug)]
    pub type Context;
}

#[wasm_bindgen(raw_module = "./host.js")]
extern "C" {
    #[wasm_bindgen(js_name = packAnswer)]
    pub(crate) fn pack_answer(response: &Response) -> String;

    #[wasm_bindgen(catch, js_name = keepHeaders)]
    pub(crate) fn keep_headers(number: u32, text: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = respond)]
    pub(crate) fn respond(status: u16, number: u32, text: &str, body: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = keepBody)]
    pub(crate) fn keep_body(number: u32, body: &[u8]);

    #[wasm_bindgen(catch, js_name = respondKept)]
    pub(crate) fn respond_kept(status: u16, number: u32, text: &str, body: u32) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = respondBytes)]
    pub(crate) fn respond_bytes(status: u16, number: u32, text: &str, body: &[u8]) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn send(
        method: &str,
        url: &str,
        number: u32,
        text: &str,
        body: Option<&[u8]>,
        within_ms: u32,
    ) -> Result<JsValue, JsValue>;

    pub(crate) fn pause(ms: u32) -> JsValue;

    pub(crate) fn platform(request: &Request) -> String;

    #[wasm_bindgen(js_name = readWhole)]
    pub(crate) fn read_whole(source: &JsValue, is_announced: bool, max_bytes: u32, within_ms: u32) -> JsValue;

    #[wasm_bindgen(js_name = lengthOf)]
    pub(crate) fn length_of(bytes: &JsValue) -> u32;

    #[wasm_bindgen(js_name = copyInto)]
    pub(crate) fn copy_into(bytes: &JsValue, memory: &mut [u8]);

    #[wasm_bindgen(js_name = bodyOf)]
    pub(crate) fn body_of(response: &Response) -> Option<Stream>;

    #[wasm_bindgen(catch)]
    pub(crate) fn cancel(stream: &Stream) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = textBinding)]
    pub(crate) fn text_binding(env: &Env, name: &str) -> Option<String>;

    #[wasm_bindgen(catch)]
    pub(crate) fn limit(env: &Env, name: &str, key: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = isOverLimit)]
    pub(crate) fn is_over_limit(outcome: &JsValue) -> bool;

    #[wasm_bindgen(js_name = messageOf)]
    pub(crate) fn message_of(error: &JsValue) -> String;

    #[wasm_bindgen(catch, js_name = importKey)]
    pub(crate) fn import_key(key: &[u8]) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch)]
    pub(crate) fn verify(key: &JsValue, signature: &[u8], data: &[u8]) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_name = waitUntil)]
    pub(crate) fn wait_until(context: &Context, task: Task);
}

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = log)]
    pub(crate) fn log(line: &str);
}
