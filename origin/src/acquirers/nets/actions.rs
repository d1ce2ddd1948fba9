//! Field 39, the action code, in our vocabulary: the guide's table as an open-source client has it, and the standard's.

use crate::acquirers::Decline;

/// What a code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// As asked.
    Approved,
    /// The bank's no: nothing was booked.
    Declined(Decline),
    /// Somebody on the way could not do it; a message that may be repeated is repeated.
    Technical,
    /// Approved for less than was asked for.
    Partial,
    /// A code that says nothing about whether something was booked.
    Unclear,
}

/// The meaning of a code of three digits. What the tables do not have is a refusal where the standard's class says so
/// (1xx and 2xx), and unclear elsewhere.
pub(super) fn meaning(code: &str) -> Action {
    let reason = match code {
        "000" | "060" | "061" | "063" => return Action::Approved,
        // Declined on the net: there is nobody to show papers to.
        "001" => Decline::DoNotHonour,
        "002" => return Action::Partial,
        "021" | "022" => Decline::InvalidCsc,
        "101" => Decline::Expired,
        "102" | "104" | "105" | "106" | "107" | "108" | "122" | "124" | "126" | "129" | "200" | "202" | "204"
        | "208" | "209" | "210" => Decline::Restricted,
        "109" | "115" => Decline::Rule,
        "110" | "121" | "123" => Decline::AmountLimit,
        "111" | "114" | "118" => Decline::InvalidCard,
        "116" => Decline::InsufficientFunds,
        "119" | "120" | "125" => Decline::UnsupportedScheme,
        "902" | "904" => Decline::Configuration,
        "903" | "906" | "907" | "908" | "909" | "911" => return Action::Technical,
        // 888 is pending; 913 is a duplicate, of what is not said.
        _ if code.starts_with(['1', '2']) => Decline::DoNotHonour,
        _ => return Action::Unclear,
    };
    Action::Declined(reason)
}
