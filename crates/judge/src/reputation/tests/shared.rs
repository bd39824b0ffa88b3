//! What other mailboxes say.

use super::*;

/// A client of whom nothing but the address is known.
fn client() -> Sender {
    Sender {
        networks: networks("192.0.2.77".parse().unwrap()).map(Some),
        ..Sender::default()
    }
}

fn said(history: &PlainHistory) -> Option<Votes> {
    let found = block_on(shared(&client(), &mailbox(), history, NOW_S)).unwrap();
    found.map(|shared| shared.votes)
}

/// Once an old label of the one who asks was the third vote, so he heard what two others had said.
#[test]
fn a_mailbox_that_knows_nothing_hears_of_three_others() {
    let mut history = PlainHistory::new();
    let of = |name: &str| MailboxId::try_from(format!("{name}@home.example")).unwrap();
    history.label(&mailbox(), &client(), NOW_S - 100 * DAY_S, 1, true);
    for (number, name) in [(2, "a"), (3, "b")] {
        history.label(&of(name), &client(), NOW_S - DAY_S, number, true);
    }
    assert_eq!(ask(&client(), &history, NOW_S).method, Method::None);
    assert_eq!(said(&history), None);
    history.label(&of("c"), &client(), NOW_S - DAY_S, 4, false);
    assert_eq!(said(&history), Some(Votes { junk: 2, not_junk: 1 }));
}
