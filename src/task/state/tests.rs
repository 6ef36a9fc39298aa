//! The machine, as its drawing has it.

use super::*;

fn ends_in(from: Status, events: &[Event]) -> Result<Status, Illegal> {
    events
        .iter()
        .try_fold(from, |status, event| status.after(*event))
}

#[test]
fn every_code_names_its_event() {
    for (code, event) in (0..).zip(Event::ALL) {
        assert_eq!((event.code(), Event::of(code)), (code, Some(event)));
    }
    assert_eq!(Event::of(17), None);
}

#[test]
fn what_is_over_never_changes() {
    for status in Status::ALL
        .into_iter()
        .filter(|status| status.state().is_done())
    {
        assert_eq!(status.substate(), None);
        for event in Event::ALL {
            assert_eq!(
                status.after(event),
                Err(Illegal {
                    from: status,
                    event
                })
            );
        }
    }
}

#[test]
fn whatever_is_not_over_can_end_and_says_where_it_stands() {
    for status in Status::ALL
        .into_iter()
        .filter(|status| !status.state().is_done())
    {
        assert!(status.substate().is_some());
        assert_eq!(status.after(Event::Fail), Ok(Status::Failed));
        assert_eq!(status.after(Event::Expire), Ok(Status::Expired));
    }
}

#[test]
fn only_what_runs_can_have_been_done_and_what_the_gate_itself_sent_is_not_taken_back() {
    for status in Status::ALL {
        let runs = status.state() == State::Running;
        assert_eq!(status.after(Event::Complete).is_ok(), runs, "{status:?}");
        assert_eq!(status.after(Event::PartlyDone).is_ok(), runs, "{status:?}");
        assert_eq!(status.after(Event::Retry).is_ok(), runs, "{status:?}");
        let is_followed = [Status::Polling, Status::Blocked, Status::Canceling].contains(&status);
        let may_abort = status.state() == State::Scheduled || is_followed;
        assert_eq!(status.after(Event::Abort).is_ok(), may_abort, "{status:?}");
    }
}

#[test]
fn the_ways_of_the_contract() {
    use Event::*;
    for (events, end) in [
        (&[Dispatch, Sent, Complete][..], Status::Completed),
        (&[Dispatch, Sent, Fail], Status::Failed),
        (
            &[Dispatch, Refused, Dispatch, Sent, Refused, Dispatch],
            Status::Dispatching,
        ),
        (
            &[
                Dispatch, Started, Refused, Dispatch, Started, HeldUp, Refused,
            ],
            Status::WaitingRetry,
        ),
        (&[Dispatch, Sent, Lost, Complete], Status::Completed),
        (&[Dispatch, Lost, Again, Dispatch], Status::Dispatching),
        (
            &[Dispatch, Sent, Started, HeldUp, WentOn, CancelSent, Abort],
            Status::Aborted,
        ),
        (
            &[Dispatch, Started, CancelSent, CancelRefused, HeldUp, Abort],
            Status::Aborted,
        ),
        (
            &[Dispatch, Started, Lost, Found, PartlyDone],
            Status::PartialSuccess,
        ),
        (&[Dispatch, Sent, Retry, Dispatch, Fail], Status::Failed),
        (&[Dispatch, Sent, Lost, Retry], Status::WaitingRetry),
        (&[Dispatch, Started, Retry, Abort], Status::Aborted),
        (&[Abort], Status::Aborted),
        (&[Expire], Status::Expired),
    ] {
        assert_eq!(ends_in(Status::Queued, events), Ok(end), "{events:?}");
    }
    for bad in [
        &[Sent][..],
        &[Complete],
        &[Refused],
        &[Dispatch, Dispatch],
        &[Dispatch, Abort],
        &[Dispatch, Again],
        &[Retry],
        &[Dispatch, Fail, Retry],
    ] {
        assert!(ends_in(Status::Queued, bad).is_err(), "{bad:?}");
    }
}
