//! Header names, spelled once. All lower case, as HTTP/2 and `http::HeaderName` want them.

/// RFC 9421 §4.1: which components the link signature covers, with its parameters.
pub const SIGNATURE_INPUT: &str = "signature-input";
/// RFC 9421 §4.2: the link signature itself.
pub const SIGNATURE: &str = "signature";
/// RFC 9530: SHA-256 of the body, present also for an empty body.
pub const CONTENT_DIGEST: &str = "content-digest";
/// The host that the client asked for, as the edge saw it.
pub const PUBLIC_HOST: &str = "scanvault-host";
/// The client's address from the one configured source, or `unknown`.
pub const CLIENT_ADDRESS: &str = "scanvault-client";
/// 32 lower-case hex digits that join the log lines of edge and origin.
pub const REQUEST_ID: &str = "scanvault-request-id";
/// What the edge thinks of the credential, see [`crate::record::Mark`]. The origin decides for itself.
pub const CREDENTIAL: &str = "scanvault-credential";
/// On an answer to an edge: the credential record of the account that was named, see [`crate::record::Update`].
pub const CREDENTIAL_RECORD: &str = "scanvault-credential-record";
/// On an answer to an edge: the public keys of tokens, see [`crate::record::TokenKeys`].
pub const TOKEN_KEYS: &str = "scanvault-token-keys";
/// [`STANDBY_VALUE`] on an answer to an edge: nothing was done, since this region stands by. Another may be asked.
pub const STANDBY: &str = "scanvault-standby";
/// The one value of [`STANDBY`].
pub const STANDBY_VALUE: &str = "1";
/// On an edge's answer that came from an origin: which region answered.
pub const REGION: &str = "scanvault-region";
/// The client's credentials, forwarded as they came.
pub const AUTHORIZATION: &str = "authorization";
/// The client's idempotency key.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// `OK` on an answer that is the lasting answer of its idempotency key.
pub const IDEMPOTENCY_STATUS: &str = "idempotency-status";
/// The media type of the body.
pub const CONTENT_TYPE: &str = "content-type";

/// Sent with every answer: two years, all sub-domains, preload list (RFC 6797; hstspreload.org).
pub const STRICT_TRANSPORT_SECURITY: (&str, &str) =
    ("strict-transport-security", "max-age=63072000; includeSubDomains; preload");

macro_rules! page_policy {
    ($bank:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             frame-src 'self' ",
            $bank,
            "; form-action 'self' ",
            $bank,
            "; base-uri 'none'; frame-ancestors 'none'"
        )
    };
}

/// The content security policy of pages: everything from ourselves, nothing inline, no frame around us. The payer's bank
/// is shown in a frame, and forms are posted into it: whose bank it is, nobody knows before.
pub const PAGE_CONTENT_SECURITY_POLICY: &str = page_policy!("https:");

/// The same in development, where the sandbox's bank answers without TLS.
pub const DEVELOPMENT_PAGE_CONTENT_SECURITY_POLICY: &str = page_policy!("https: http://127.0.0.1:*");

/// The policy of pages that are shown in a frame of our own pages: a script that tells the page around it, nothing else.
pub const FRAMED_CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// The policy of everything that is not a page.
pub const API_CONTENT_SECURITY_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// For browsers that do not read `frame-ancestors`.
pub const FRAME_OPTIONS: &str = "x-frame-options";

/// Headers that harden an answer whatever it is; both halves set them, the edge has the last word.
pub const HARDENING: &[(&str, &str)] = &[
    STRICT_TRANSPORT_SECURITY,
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    (FRAME_OPTIONS, "DENY"),
];

/// [`FRAME_OPTIONS`] of a page that is shown in a frame of our own pages.
pub const FRAMED_BY_OURSELVES: &str = "SAMEORIGIN";

/// The content security policy of a page.
#[must_use]
pub const fn page_policy(is_framed: bool, is_development: bool) -> &'static str {
    match (is_framed, is_development) {
        (true, _) => FRAMED_CONTENT_SECURITY_POLICY,
        (false, true) => DEVELOPMENT_PAGE_CONTENT_SECURITY_POLICY,
        (false, false) => PAGE_CONTENT_SECURITY_POLICY,
    }
}
