//! Amounts in an acquirer's own minor units.

use crate::money::Amount;

/// The amount with the acquirer's decimals; `None`: it is not a whole number of them. ISO 4217 and an acquirer's table
/// may differ, and the one that is wrong by a factor of a hundred is the one that nobody tried.
pub(super) fn minor_units(amount: Amount, exponent: u8) -> Option<u64> {
    let own = amount.currency().exponent();
    if exponent >= own {
        return amount.minor().checked_mul(10_u64.checked_pow(u32::from(exponent - own))?);
    }
    let factor = 10_u64.checked_pow(u32::from(own - exponent))?;
    amount.minor().is_multiple_of(factor).then(|| amount.minor() / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_and_fewer_decimals() {
        let amount = |minor, currency: &str| Amount::from_minor(minor, currency.parse().unwrap()).unwrap();
        assert_eq!(minor_units(amount(1050, "DKK"), 2), Some(1050));
        assert_eq!(minor_units(amount(1050, "ISK"), 0), Some(1050));
        // As króna had them there before 2023-04.
        assert_eq!(minor_units(amount(1050, "ISK"), 2), Some(105_000));
        assert_eq!(minor_units(amount(1050, "DKK"), 0), None);
        assert_eq!(minor_units(amount(1000, "DKK"), 0), Some(10));
        assert_eq!(minor_units(amount(1000, "DKK"), 200), None);
    }
}
