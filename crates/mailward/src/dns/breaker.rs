//! Whether the DNS is down, so that a machine without it does not cost each message its time.
//!
//! When query after query goes unanswered, it may be down; or somebody sends mail full of names whose servers are dead,
//! and would be glad if nothing else were looked up. So it is not taken to be down before a question of our own, which any
//! server answers, goes unanswered as well. From then on questions are answered at once with "no answer", but for one in a
//! while, which is sent for the sake of whether it comes back. Any answer at all, a refusal too, ends that.

use super::limits::{PROBE_EVERY, SILENT_MAX, SILENT_WITHIN};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// The state of the DNS.
pub(super) struct Breaker {
    state: Mutex<State>,
}

enum State {
    /// It answers, but for so many queries in a row since then.
    Up { silent: u32, since: Option<Instant> },
    /// The question of our own is under way.
    Doubted,
    /// Not to be asked before then.
    Down { next_probe: Instant },
}

/// What shall be done with a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Ask, and wait for the answer.
    Ask,
    /// Ask, but nobody shall wait for it.
    Probe,
    /// Do not ask.
    Refuse,
}

impl Breaker {
    pub(super) fn new() -> Breaker {
        Breaker {
            state: Mutex::new(State::UP),
        }
    }

    /// What shall be done with the next question.
    pub(super) fn gate(&self, now: Instant) -> Gate {
        match &mut *self.state() {
            State::Up { .. } | State::Doubted => Gate::Ask,
            State::Down { next_probe } if now < *next_probe => Gate::Refuse,
            State::Down { next_probe } => {
                *next_probe = now + PROBE_EVERY;
                Gate::Probe
            }
        }
    }

    /// Some server has answered something.
    pub(super) fn heard(&self) {
        let before = std::mem::replace(&mut *self.state(), State::UP);
        if matches!(before, State::Down { .. }) {
            tracing::warn!("name servers answer again");
        }
    }

    /// No server has answered a query. `true`: ask a question of our own, and call [`Self::heard`] or [`Self::down`].
    pub(super) fn silent(&self, now: Instant) -> bool {
        let mut state = self.state();
        let State::Up { silent, since } = &mut *state else {
            return false;
        };
        if since.is_none_or(|since| now.saturating_duration_since(since) > SILENT_WITHIN) {
            (*silent, *since) = (0, Some(now));
        }
        *silent += 1;
        if *silent < SILENT_MAX {
            return false;
        }
        *state = State::Doubted;
        true
    }

    /// The question of our own went unanswered, too. If others have been answered meanwhile, that counts more.
    pub(super) fn down(&self, now: Instant) {
        let mut state = self.state();
        if matches!(*state, State::Doubted) {
            let next_probe = now + PROBE_EVERY;
            *state = State::Down { next_probe };
            tracing::warn!("no name server answers; mail is judged without DNS until one does");
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const UP: State = State::Up { silent: 0, since: None };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Down at `now`.
    fn down(now: Instant) -> Breaker {
        let breaker = Breaker::new();
        for number in 1..=SILENT_MAX {
            assert_eq!(breaker.silent(now), number == SILENT_MAX);
            assert_eq!(breaker.gate(now), Gate::Ask);
        }
        breaker.down(now);
        breaker
    }

    #[test]
    fn while_down_one_question_a_second_goes_through() {
        let now = Instant::now();
        let breaker = down(now);
        let at = |ms| now + Duration::from_millis(ms);
        for (ms, expected) in [
            (0, Gate::Refuse),
            (999, Gate::Refuse),
            (1000, Gate::Probe),
            (1000, Gate::Refuse),
            (1999, Gate::Refuse),
            (7000, Gate::Probe),
            (7001, Gate::Refuse),
        ] {
            assert_eq!(breaker.gate(at(ms)), expected, "after {ms} ms");
        }
        // A probe without an answer changes nothing; one with an answer does.
        assert!(!breaker.silent(at(7002)));
        assert_eq!(breaker.gate(at(7003)), Gate::Refuse);
        breaker.heard();
        assert_eq!(breaker.gate(at(7004)), Gate::Ask);
    }

    #[test]
    fn dead_domains_are_no_dead_resolver() {
        let now = Instant::now();
        let breaker = Breaker::new();
        // Answers in between.
        for _ in 0..10 * SILENT_MAX {
            assert!(!breaker.silent(now));
            breaker.heard();
        }
        // Long apart.
        for number in 0..10 * SILENT_MAX {
            assert!(
                !breaker.silent(now + number * 2 * SILENT_WITHIN / SILENT_MAX),
                "{number}"
            );
        }
        // Our own question is answered, or another one is while it is under way.
        let breaker = Breaker::new();
        let doubts = (0..SILENT_MAX).filter(|_| breaker.silent(now)).count();
        assert_eq!(doubts, 1);
        assert!(!breaker.silent(now), "one such question is enough");
        breaker.heard();
        breaker.down(now);
        assert_eq!(breaker.gate(now), Gate::Ask);
    }
}
