//! How many requests of one client are taken at all, right or wrong: a bound for each account, for each address on open
//! paths, and a higher one for images, which cost next to nothing. They are far above what anybody rightful does; they
//! keep one client's loop from being everybody's trouble.
//!
//! Each isolate counts for itself. Where the platform has limiters for addresses and accounts they are told of one
//! request in sixteen, after the answer, and their word rests a client here. Images are never told: that would cost more
//! than they do.

use scanvault_protocol::account::AccountName;
use scanvault_protocol::limit::{Limit, Limiter, address_key};
use scanvault_protocol::record::Mark;
use scanvault_protocol::route::{Route, RouteSpec};

use crate::authenticate::Caller;
use crate::halves::Halves;

/// Images of one address. 500 a second are a thirteenth of a core if each is drawn anew; at once, what a printer of labels
/// or a whole company behind one address may ask for.
pub const IMAGES: Limit = Limit { every_ms: 2, burst: 5_000 };
/// Everything else on open paths, of one address, and all that is refused to it before a credential counts. A payer opens a
/// page with its few files and then asks every other second how it stands: a hundred a second are two hundred payers at the
/// same moment, behind one carrier's address.
pub const ADDRESS: Limit = Limit { every_ms: 10, burst: 1_000 };
/// An account that is right. 500 a second are forty million a day; the burst is a shop that catches up.
pub const ACCOUNT: Limit = Limit { every_ms: 2, burst: 5_000 };
/// How long a client rests whom the platform's limiter has had enough of, in milliseconds.
pub const REST_MS: u64 = 2_000;

/// 48 bytes each with the map's own, twice that in it: 1.6 MB at most for each of the two.
const MAX_ADDRESSES: usize = 16_384;
const MAX_ACCOUNTS: usize = 4_096;

/// Who is counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// See [`address_key`].
    Address(u128),
    Account(AccountName),
}

impl Client {
    /// Who asks: the account where that is certain, else the address where that is known.
    #[must_use]
    pub fn of(address: Option<&str>, caller: &Caller) -> Option<Self> {
        match caller {
            Caller::Named { account, mark } | Caller::Session { account, mark, .. } if *mark != Mark::Unverified => {
                Some(Self::Account(account.clone()))
            }
            _ => address.map(str::trim).and_then(address_key).map(Self::Address),
        }
    }

    /// The binding of the platform's limiter that counts these, and the key there. Names of accounts are no secret.
    #[must_use]
    pub fn told(&self) -> (&'static str, String) {
        match self {
            Self::Address(address) => ("ADDRESS_LIMITER", format!("{address:032x}")),
            Self::Account(name) => ("ACCOUNT_LIMITER", name.to_string()),
        }
    }
}

/// Who has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The limit's name, for the log.
    pub limit: &'static str,
    pub ms: u64,
}

/// What has been taken.
#[derive(Debug)]
pub struct Requests {
    images: Limiter<u128>,
    addresses: Limiter<u128>,
    accounts: Limiter<AccountName>,
    /// Until when, in milliseconds.
    resting: Halves<Client, u64>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            images: Limiter::new(IMAGES, MAX_ADDRESSES),
            addresses: Limiter::new(ADDRESS, MAX_ADDRESSES),
            accounts: Limiter::new(ACCOUNT, MAX_ACCOUNTS),
            resting: Halves::new(MAX_ACCOUNTS),
        }
    }
}

impl Requests {
    /// Takes one. What is not verified has budgets of its own; an address that nobody knows cannot be counted. Answers
    /// whom the platform may be told of.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(
        &mut self,
        client: Option<&str>,
        caller: &Caller,
        spec: &RouteSpec,
        now_ms: u64,
    ) -> Result<Option<Client>, Wait> {
        if spec.route == Route::QrImage {
            let Some(address) = client.map(str::trim).and_then(address_key) else { return Ok(None) };
            return self.images.take(address, now_ms).map(|()| None).map_err(|ms| Wait { limit: "limit-images", ms });
        }
        if caller.mark() == Mark::Unverified {
            return Ok(None);
        }
        let Some(client) = Client::of(client, caller) else { return Ok(None) };
        let limit = match client {
            Client::Account(_) => "limit-account",
            Client::Address(_) => "limit-address",
        };
        let rest_ms = self.resting.get(&client).map_or(0, |until_ms| until_ms.saturating_sub(now_ms));
        if rest_ms > 0 {
            return Err(Wait { limit, ms: rest_ms });
        }
        match &client {
            Client::Address(address) => self.addresses.take(*address, now_ms),
            Client::Account(name) => self.accounts.take(name.clone(), now_ms),
        }
        .map(|()| Some(client))
        .map_err(|ms| Wait { limit, ms })
    }

    /// Takes one for what is refused here before anybody was counted: refusing costs something, too, a line of the log
    /// above all.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take_refused(&mut self, client: Option<&str>, now_ms: u64) -> Result<(), Wait> {
        let Some(address) = client.map(str::trim).and_then(address_key) else { return Ok(()) };
        self.addresses.take(address, now_ms).map_err(|ms| Wait { limit: "limit-address", ms })
    }

    /// Whether an address has had all of it; nothing is taken.
    ///
    /// # Errors
    /// How long to wait.
    pub fn look(&self, client: Option<&str>, now_ms: u64) -> Result<(), Wait> {
        let ms = client.map(str::trim).and_then(address_key).map_or(0, |key| self.addresses.wait_ms(&key, now_ms));
        if ms == 0 { Ok(()) } else { Err(Wait { limit: "limit-address", ms }) }
    }

    /// The platform's limiter has had enough of a client.
    pub fn rest(&mut self, client: Client, now_ms: u64) {
        self.resting.put(client, now_ms.saturating_add(REST_MS));
    }
}

/// Whether the platform is told of this request: one in sixteen, by its id, which is random.
#[must_use]
pub fn is_told(request_id: &str) -> bool {
    request_id.starts_with('0')
}

#[cfg(test)]
mod tests {
    use scanvault_protocol::route::ROUTES;

    use super::*;

    const NOW: u64 = 1_790_000_000_000;
    const HERE: Option<&str> = Some("203.0.113.7");

    fn row(route: Route) -> &'static RouteSpec {
        ROUTES.iter().find(|spec| spec.route == route).unwrap()
    }

    fn named(id: u64, mark: Mark) -> Caller {
        Caller::Named { account: AccountName::Merchant(id), mark }
    }

    fn until_full(requests: &mut Requests, client: Option<&str>, caller: &Caller, route: Route) -> (u64, Wait) {
        for taken in 0..20_000 {
            if let Err(wait) = requests.take(client, caller, row(route), NOW) {
                return (taken, wait);
            }
        }
        panic!("there is no limit")
    }

    #[test]
    fn images_have_a_higher_bound_of_their_own() {
        let mut requests = Requests::default();
        let (taken, wait) = until_full(&mut requests, HERE, &Caller::Anonymous, Route::PayPage);
        assert_eq!((taken, wait), (ADDRESS.burst, Wait { limit: "limit-address", ms: ADDRESS.every_ms }));
        let (taken, wait) = until_full(&mut requests, HERE, &Caller::Anonymous, Route::QrImage);
        assert_eq!((taken, wait), (IMAGES.burst, Wait { limit: "limit-images", ms: IMAGES.every_ms }));
        let mut take =
            |client, after_ms| requests.take(client, &Caller::Anonymous, row(Route::QrImage), NOW + after_ms);
        assert_eq!(take(HERE, IMAGES.every_ms), Ok(None));
        assert!(take(HERE, IMAGES.every_ms).is_err());
        assert_eq!(take(Some("203.0.113.8"), 0), Ok(None));
    }

    #[test]
    fn an_account_counts_wherever_it_calls_from_and_however_it_proves_itself() {
        let mut requests = Requests::default();
        let (taken, wait) = until_full(&mut requests, HERE, &named(25, Mark::Verified), Route::CodeQuery);
        assert_eq!((taken, wait.limit), (ACCOUNT.burst, "limit-account"));
        let token =
            Caller::Session { hash: [0; 32], account: AccountName::Merchant(25), roles: vec![], mark: Mark::Renew };
        for other in [None, Some("203.0.113.8")] {
            assert!(requests.take(other, &token, row(Route::CodeQuery), NOW).is_err());
        }
        assert!(requests.take(HERE, &named(26, Mark::Verified), row(Route::CodeQuery), NOW).is_ok());
    }

    #[test]
    fn what_is_refused_here_counts_for_its_address() {
        let mut requests = Requests::default();
        for _ in 0..ADDRESS.burst {
            assert_eq!((requests.look(HERE, NOW), requests.take_refused(HERE, NOW)), (Ok(()), Ok(())));
        }
        let full = Err(Wait { limit: "limit-address", ms: ADDRESS.every_ms });
        assert_eq!((requests.look(HERE, NOW), requests.take_refused(HERE, NOW)), (full, full));
        for other in [None, Some("203.0.113.8")] {
            assert_eq!((requests.look(other, NOW), requests.take_refused(other, NOW)), (Ok(()), Ok(())));
        }
        assert!(requests.take(HERE, &Caller::Anonymous, row(Route::PayPage), NOW).is_err());
        assert!(requests.take(HERE, &named(25, Mark::Verified), row(Route::CodeQuery), NOW).is_ok());
    }

    #[test]
    fn what_has_a_budget_or_no_address_is_not_counted() {
        let mut requests = Requests::default();
        for _ in 0..20_000 {
            assert_eq!(requests.take(HERE, &named(25, Mark::Unverified), row(Route::CodeQuery), NOW), Ok(None));
            for route in [Route::QrImage, Route::PayPage] {
                assert_eq!(requests.take(None, &Caller::Anonymous, row(route), NOW), Ok(None));
            }
        }
    }

    #[test]
    fn whom_the_platform_has_had_enough_of_rests() {
        let mut requests = Requests::default();
        let caller = named(25, Mark::Verified);
        let spec = row(Route::CodeQuery);
        let client = requests.take(HERE, &caller, spec, NOW).unwrap().unwrap();
        assert_eq!(client.told(), ("ACCOUNT_LIMITER", "merchant-25".to_owned()));
        requests.rest(client, NOW);
        let wait = Wait { limit: "limit-account", ms: REST_MS };
        assert_eq!(requests.take(HERE, &caller, spec, NOW), Err(wait));
        assert!(requests.take(HERE, &caller, spec, NOW + REST_MS).is_ok());
        let address = requests.take(HERE, &Caller::Anonymous, row(Route::PayPage), NOW).unwrap().unwrap();
        assert_eq!(address.told(), ("ADDRESS_LIMITER", format!("{:032x}", 0xcb00_7107_u32)));
    }

    #[test]
    fn one_in_sixteen_is_told() {
        let told = (0..256).filter(|n| is_told(&format!("{n:02x}cdef"))).count();
        assert_eq!(told, 16);
    }
}
