//! Vipps MobilePay ePayment with card passthrough: the wallet knows the payer and their card, the acquirer is ours.
//!
//! A payment is made there, the payer agrees in the app, and MobilePay hands a network token over in the card callback;
//! what the merchant's acquirer says of it is the answer. Captures, refunds and releases happen at the acquirer and are
//! told to MobilePay afterwards. This folder is what is said and read: codecs, signatures and the client; `payments`
//! knows when. It is no [`super::Acquirer`]: it moves no money.
//!
//! Facts: Vipps MobilePay's ePayment and webhook documentation. What it leaves open stands in `guesses`.

mod access;
mod callback;
mod client;
mod credentials;
mod error;
mod guesses;
mod messages;
mod signature;

pub use callback::{CallbackAnswer, CallbackCard, CallbackError, CardCallback, NetworkToken, ShownCard};
pub use client::{MobilePay, Modify, NewWebhook};
pub use credentials::{CARD_TYPES, Credentials, check_credentials};
pub use error::WalletError;
pub use messages::{EVENTS, Msisdn, NewPayment, PaymentState, WalletPayment, WebhookEvent, takes, takes_currency};
pub use signature::{SignatureError, SignedCall};

/// The party's name in `acquirer_credentials`, in metrics and as a payment's method.
pub const NAME: &str = "mobilepay";
