//! `checks/protocol`: did the client keep to the order of speech, as mail servers do and many programs that only push
//! mail out do not? The session notices; here it is put into words.

use mail::Line;
use mail::smtp::conduct::Conduct;

/// The gravest of what was noticed.
pub fn fault(conduct: Conduct) -> Option<Line> {
    let Conduct {
        spoke_early,
        pipelined_before_hello,
        pipelined_unoffered,
        pipelined_past_group,
        spoke_http,
        unknown_before_hello,
    } = conduct;
    Some(Line::literal(if spoke_http {
        "Client spoke HTTP"
    } else if spoke_early {
        "Client spoke before the greeting"
    } else if unknown_before_hello > 0 {
        "Client sent no commands before its greeting"
    } else if pipelined_before_hello || pipelined_unoffered {
        "Client did not wait for answers, though it could not know that it need not"
    } else if pipelined_past_group {
        "Client did not wait for an answer that must be waited for"
    } else {
        return None;
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_manners_pass_and_each_bad_one_is_named() {
        assert_eq!(fault(Conduct::default()), None);
        let all = [
            Conduct {
                spoke_early: true,
                ..Conduct::default()
            },
            Conduct {
                pipelined_before_hello: true,
                ..Conduct::default()
            },
            Conduct {
                pipelined_unoffered: true,
                ..Conduct::default()
            },
            Conduct {
                pipelined_past_group: true,
                ..Conduct::default()
            },
            Conduct {
                spoke_http: true,
                ..Conduct::default()
            },
            Conduct {
                unknown_before_hello: 1,
                ..Conduct::default()
            },
        ];
        assert!(all.into_iter().all(|conduct| fault(conduct).is_some()));
    }
}
