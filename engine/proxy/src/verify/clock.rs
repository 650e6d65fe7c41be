//! The clock that certificates are judged by, and what a refusal for time says about it. A refusal that the CA's
//! clock would not have passed is `clock-skew`: the certificate is in order, and somebody's clock is not. The CA's
//! clock only finds words; it never makes a certificate acceptable.

use crate::clock;
use crate::verify::{Cause, IdentityError};

/// Our clock at one moment, and how far it is from the CA's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    now: i64,
    /// Ours minus the CA's, in seconds.
    offset: Option<f64>,
}

impl Clock {
    /// The system's clock now.
    pub(crate) fn now(offset: Option<f64>) -> Clock {
        Clock {
            now: clock::unix_seconds(clock::now()),
            offset,
        }
    }

    /// Our time, Unix seconds.
    pub(crate) fn seconds(&self) -> i64 {
        self.now
    }

    /// Pass a judgement as of now. If it refuses for time, say what the clocks show, and whether ours is the reason:
    /// then the same judgement by the CA's clock does not refuse for time.
    pub(crate) fn judge<T>(
        &self,
        judgement: impl Fn(i64) -> Result<T, IdentityError>,
    ) -> Result<T, IdentityError> {
        judgement(self.now).map_err(|error| {
            self.explained(error, |ca| {
                judgement(ca).is_err_and(|error| is_about_time(error.cause))
            })
        })
    }

    /// The same refusal with both clocks in it, if it is one for time and the CA's clock is known. `too_by` says
    /// whether a time of the CA's would be refused for time too; it is only asked when the clocks differ.
    pub(crate) fn explained(&self, error: IdentityError, too_by: impl FnOnce(i64) -> bool) -> IdentityError {
        let (true, Some(offset)) = (is_about_time(error.cause), self.offset) else {
            return error;
        };
        let ca = self.now.saturating_sub(offset.round() as i64);
        let cause = match ca == self.now || too_by(ca) {
            true => error.cause,
            false => Cause::ClockSkew,
        };
        let detail = format!("{}; {}", error.detail, self.compared(offset, ca));
        IdentityError::new(cause, detail)
    }

    /// Both clocks in words; None when the CA's is not known.
    pub(crate) fn words(&self) -> Option<String> {
        let offset = self.offset?;
        let ca = self.now.saturating_sub(offset.round() as i64);
        Some(self.compared(offset, ca))
    }

    fn compared(&self, offset: f64, ca: i64) -> String {
        let side = if offset < 0.0 { "behind" } else { "ahead of" };
        format!(
            "our clock shows {}, {:.1} s {side} the CA's, which shows {}",
            text(self.now),
            offset.abs(),
            text(ca)
        )
    }
}

fn is_about_time(cause: Cause) -> bool {
    matches!(cause, Cause::Expired | Cause::NotYetValid)
}

fn text(seconds: i64) -> String {
    let mut text = Vec::new();
    let time = std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    clock::write_rfc3339(&mut text, time);
    String::from_utf8_lossy(&text).replace(".000Z", "Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid(from: i64, to: i64) -> impl Fn(i64) -> Result<(), IdentityError> {
        move |now| match now {
            _ if now < from => Err(IdentityError::new(Cause::NotYetValid, "too early")),
            _ if now > to => Err(IdentityError::new(Cause::Expired, "too late")),
            _ => Ok(()),
        }
    }

    fn clock(offset: Option<f64>) -> Clock {
        Clock {
            now: 1_795_401_905,
            offset,
        }
    }

    #[test]
    fn a_refusal_that_the_cas_clock_would_not_have_passed_is_skew() {
        let ahead = clock(Some(60.0)).judge(valid(0, 1_795_401_900)).unwrap_err();
        assert_eq!(ahead.cause, Cause::ClockSkew);
        assert_eq!(
            ahead.detail,
            "too late; our clock shows 2026-11-23T02:45:05Z, 60.0 s ahead of the CA's, \
             which shows 2026-11-23T02:44:05Z"
        );
        let behind = clock(Some(-60.0))
            .judge(valid(1_795_401_910, i64::MAX))
            .unwrap_err();
        assert_eq!(behind.cause, Cause::ClockSkew);
        assert!(behind.detail.contains("60.0 s behind"), "{}", behind.detail);
    }

    #[test]
    fn a_refusal_by_both_clocks_keeps_its_cause_and_shows_both() {
        let error = clock(Some(2.0)).judge(valid(0, 1_795_401_000)).unwrap_err();
        assert_eq!(error.cause, Cause::Expired);
        assert!(error.detail.contains("2.0 s ahead"), "{}", error.detail);
    }

    #[test]
    fn nothing_is_said_of_a_clock_that_is_not_known_or_not_the_matter() {
        let error = clock(None).judge(valid(0, 1)).unwrap_err();
        assert_eq!((error.cause, error.detail.as_str()), (Cause::Expired, "too late"));
        let refuse = |_| Err::<(), _>(IdentityError::new(Cause::OutOfScope, "no"));
        assert_eq!(clock(Some(60.0)).judge(refuse).unwrap_err().detail, "no");
    }

    #[test]
    fn the_cas_clock_never_makes_a_certificate_acceptable() {
        assert!(clock(Some(60.0)).judge(valid(0, 1_795_401_900)).is_err());
        assert!(clock(Some(60.0)).judge(valid(1_795_401_900, i64::MAX)).is_ok());
    }
}
