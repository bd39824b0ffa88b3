//! Rates: how much mail one network may send to one mailbox within a minute and within a day.
//!
//! Counted under the same three masks by which reputation knows a client ([`crate::reputation::networks`]). The limits
//! are far above what people receive: they stop floods, not mail.

use mail::Line;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A wider network may send so many times what its address may: /32, /26, /21 of IPv4; /64, /48, /32 of IPv6.
const FACTORS: [u64; 3] = [1, 3, 9];

/// A network that sends: the mask and the masked address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateNetwork {
    /// 1 is the narrowest mask, 3 the widest.
    pub width: u8,
    /// The address, masked.
    pub address: IpAddr,
}

/// What came within a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Messages.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
}

/// What one mailbox got from one network before now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Within a minute.
    pub minute: Amount,
    /// Within a day.
    pub day: Amount,
}

/// What one mailbox may get from one address (the narrowest mask); three times as much from the network around it, and
/// nine times as much from the widest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Within a minute.
    pub minute: Amount,
    /// Within a day.
    pub day: Amount,
}

/// As in the reference.
impl Default for RateLimits {
    fn default() -> RateLimits {
        let amount = |messages, mebioctets: u64| Amount {
            messages,
            octets: mebioctets << 20,
        };
        RateLimits {
            minute: amount(500, 1000),
            day: amount(10_000, 3000),
        }
    }
}

impl RateLimits {
    /// The first limit that one more message of `octets` octets would pass, in words; the networks in their order, and
    /// the minute before the day. A number of messages is passed once it was reached before; octets count the message.
    pub fn passed(&self, rates: &[(RateNetwork, Rate)], octets: u64) -> Option<Line> {
        rates.iter().find_map(|(network, rate)| {
            let of = |had: Amount, may: Amount, window| self.one(*network, had, may, octets, window);
            of(rate.minute, self.minute, "minute").or_else(|| of(rate.day, self.day, "day"))
        })
    }

    fn one(&self, network: RateNetwork, had: Amount, may: Amount, octets: u64, window: &str) -> Option<Line> {
        let place = usize::from(network.width).saturating_sub(1);
        let factor = FACTORS.get(place).copied().unwrap_or(1);
        let bits = crate::reputation::mask_bits(network.address, network.width);
        let (messages_max, octets_max) = (may.messages.saturating_mul(factor), may.octets.saturating_mul(factor));
        let what = if had.messages >= messages_max {
            format!("{} messages, of {messages_max}", had.messages)
        } else if had.octets.saturating_add(octets) > octets_max {
            format!(
                "{} MiB with this one, of {} MiB",
                had.octets.saturating_add(octets) >> 20,
                octets_max >> 20
            )
        } else {
            return None;
        };
        let text = format!(
            "too much mail for this mailbox from {}/{bits} within a {window}: {what}",
            network.address
        );
        Some(Line::reason(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(width: u8, messages: u64, octets: u64) -> (RateNetwork, Rate) {
        let address = crate::reputation::networks("192.0.2.77".parse().unwrap())[usize::from(width) - 1];
        let minute = Amount { messages, octets };
        (
            RateNetwork { width, address },
            Rate {
                minute,
                day: Amount::default(),
            },
        )
    }

    #[test]
    fn a_number_counts_what_came_before_and_octets_count_the_message_too() {
        let limits = RateLimits::default();
        let passed = |rates: &[_], octets| limits.passed(rates, octets).map(String::from);
        assert_eq!(passed(&[rate(1, 499, 0)], 1), None);
        assert_eq!(
            passed(&[rate(1, 500, 0)], 1).as_deref(),
            Some("too much mail for this mailbox from 192.0.2.77/32 within a minute: 500 messages, of 500")
        );
        assert_eq!(passed(&[rate(1, 1, 999 << 20)], 1 << 20), None);
        assert_eq!(
            passed(&[rate(1, 1, 999 << 20)], (1 << 20) + 1).as_deref(),
            Some(
                "too much mail for this mailbox from 192.0.2.77/32 within a minute: 1000 MiB with this one, of 1000 MiB"
            )
        );
    }

    #[test]
    fn wider_networks_may_send_three_and_nine_times_as_much() {
        let limits = RateLimits::default();
        for (width, messages_max) in [(1, 500), (2, 1500), (3, 4500)] {
            assert!(limits.passed(&[rate(width, messages_max - 1, 0)], 1).is_none());
            assert!(limits.passed(&[rate(width, messages_max, 0)], 1).is_some());
        }
        let day = |messages| {
            let (network, mut rate) = rate(3, 0, 0);
            rate.day.messages = messages;
            limits.passed(&[(network, rate)], 1)
        };
        assert!(day(89_999).is_none());
        let text = day(90_000).map(String::from);
        assert_eq!(
            text.as_deref(),
            Some("too much mail for this mailbox from 192.0.0.0/21 within a day: 90000 messages, of 90000")
        );
    }
}
