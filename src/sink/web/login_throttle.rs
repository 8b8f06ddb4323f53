//! Limits how fast passwords can be guessed from one address.
//!
//! The first wrong passwords are free. Each further one blocks the address for twice as long as the one before, up to
//! [`MAX_DELAY`]. While it is blocked, no password from it is compared, so that requests in that time neither help to guess
//! nor make the block longer. A right password does not end a block: behind a proxy it may come from somebody else.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Different wrong passwords without a delay.
const FREE_FAILURES: u32 = 5;

/// The first delay.
const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Time without a wrong password after which those before no longer count.
const FORGET_AFTER: Duration = Duration::from_secs(900);

/// The most addresses whose failures are remembered.
const MAX_ADDRESSES: usize = 1024;

/// The bits of an IPv6 address that a provider assigns; the rest is chosen freely.
const IPV6_PREFIX: u32 = 64;

/// The wrong passwords of each address.
#[derive(Debug, Default)]
pub(super) struct LoginThrottle {
    failures: HashMap<IpAddr, Failures>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last_at: Instant,
    /// The hash of the last wrong password: the same one again is a device with an old password, and no guess.
    last_hash: [u8; 32],
}

impl Failures {
    fn delay(&self) -> Duration {
        let doublings = self.count.checked_sub(FREE_FAILURES + 1);
        doublings.map_or(Duration::ZERO, |doublings| {
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
            FIRST_DELAY.saturating_mul(factor).min(MAX_DELAY)
        })
    }

    fn remaining(&self, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.last_at);
        self.delay().saturating_sub(since)
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last_at) >= FORGET_AFTER
    }
}

impl LoginThrottle {
    /// How long the address is still blocked; `None` if a password from it may be compared.
    pub(super) fn remaining(&self, client: IpAddr, now: Instant) -> Option<Duration> {
        let remaining = self.failures.get(&network(client))?.remaining(now);
        (!remaining.is_zero()).then_some(remaining)
    }

    /// Records a wrong password, of which the hash is given.
    pub(super) fn record_failure(&mut self, client: IpAddr, hash: [u8; 32], now: Instant) {
        let client = network(client);
        if !self.failures.contains_key(&client) {
            self.make_room(now);
        }
        let first = Failures {
            count: 0,
            last_at: now,
            last_hash: hash,
        };
        let failures = self.failures.entry(client).or_insert(first);
        if failures.is_forgotten(now) {
            failures.count = 0;
        }
        if failures.count == 0 || failures.last_hash != hash {
            failures.count = failures.count.saturating_add(1);
            failures.last_hash = hash;
            failures.last_at = now;
        }
    }

    /// Makes room for one address: of those that no longer count, or else of the one whose last failure is the oldest.
    fn make_room(&mut self, now: Instant) {
        if self.failures.len() < MAX_ADDRESSES {
            return;
        }
        self.failures
            .retain(|_, failures| !failures.is_forgotten(now));
        if self.failures.len() < MAX_ADDRESSES {
            return;
        }
        let oldest = self
            .failures
            .iter()
            .min_by_key(|(_, failures)| failures.last_at);
        if let Some(client) = oldest.map(|(client, _)| *client) {
            self.failures.remove(&client);
        }
    }
}

/// What counts as one address: an IPv4 address, or a network of IPv6.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX << (128 - IPV6_PREFIX);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn hash(number: u32) -> [u8; 32] {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&number.to_le_bytes());
        hash
    }

    /// Fails so often with different passwords, each as soon as it is compared. Returns the time after the last failure and
    /// the delays.
    fn fail(
        throttle: &mut LoginThrottle,
        client: IpAddr,
        count: u32,
        mut now: Instant,
    ) -> (Instant, Vec<u64>) {
        let mut delays = Vec::new();
        for number in 0..count {
            throttle.record_failure(client, hash(number), now);
            let delay = throttle.remaining(client, now).unwrap_or_default();
            delays.push(delay.as_secs());
            now += delay;
            assert_eq!(throttle.remaining(client, now), None);
        }
        (now, delays)
    }

    #[test]
    fn the_delay_grows_up_to_its_bound() {
        let (client, now) = (address("192.0.2.7"), Instant::now());
        let mut throttle = LoginThrottle::default();
        let (end, delays) = fail(&mut throttle, client, 14, now);
        assert_eq!(delays, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // Also after more failures than there are doublings.
        let (_, delays) = fail(&mut throttle, client, 100, end);
        assert!(delays.iter().all(|delay| *delay == 60), "{delays:?}");
    }

    #[test]
    fn other_addresses_are_not_blocked() {
        let now = Instant::now();
        let mut throttle = LoginThrottle::default();
        let blocked = |throttle: &LoginThrottle, client: &str, now| {
            throttle.remaining(address(client), now).is_some()
        };
        for client in ["192.0.2.7", "2001:db8:1:2::7"] {
            let (end, _) = fail(&mut throttle, address(client), 7, now);
            throttle.record_failure(address(client), hash(99), end);
            assert!(blocked(&throttle, client, end));
            for other in ["192.0.2.8", "2001:db8:1:3::7", "::1"] {
                assert!(!blocked(&throttle, other, end), "{other}");
            }
            throttle.record_failure(address(client), hash(98), now);
        }
        // The same network, and the same address in other words.
        for same in ["2001:db8:1:2:ffff::1", "::ffff:192.0.2.7"] {
            assert!(blocked(&throttle, same, now), "{same}");
        }
    }

    #[test]
    fn the_same_wrong_password_counts_once() {
        let (client, now) = (address("192.0.2.7"), Instant::now());
        let mut throttle = LoginThrottle::default();
        for _ in 0..1000 {
            throttle.record_failure(client, hash(1), now);
        }
        assert_eq!(throttle.remaining(client, now), None);
        assert_eq!(throttle.failures[&client].count, 1);
    }

    #[test]
    fn failures_are_forgotten() {
        let (client, now) = (address("192.0.2.7"), Instant::now());
        let mut throttle = LoginThrottle::default();
        let (end, _) = fail(&mut throttle, client, 20, now);
        let (_, delays) = fail(&mut throttle, client, 6, end + FORGET_AFTER);
        assert_eq!(delays, [0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn the_table_is_bounded_and_keeps_the_newest() {
        let now = Instant::now();
        let mut throttle = LoginThrottle::default();
        let client = |number: u32| IpAddr::from(number.to_be_bytes());
        let count = 2 * u32::try_from(MAX_ADDRESSES).expect("small");
        for number in 0..count {
            let at = now + Duration::from_millis(number.into());
            throttle.record_failure(client(number), hash(1), at);
        }
        assert_eq!(throttle.failures.len(), MAX_ADDRESSES);
        assert!(throttle.failures.contains_key(&client(count - 1)));
        assert!(!throttle.failures.contains_key(&client(0)));
        let later = now + FORGET_AFTER + FORGET_AFTER;
        throttle.record_failure(client(0), hash(1), later);
        assert_eq!(throttle.failures.len(), 1);
    }
}
