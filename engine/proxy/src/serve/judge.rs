//! The stages parse, select, decide and limit: from a request's bytes to what is to be done with it. Nothing here
//! waits or writes, so that what a request may do is settled before anything of it reaches the feature server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use featward_policy::{Decision, DecisionReason, Features, Mode, Outcome, Request, SetIndex, UpstreamAuth};
use http::request::Parts;

use super::account::Account;
use super::denial::denial;
use super::refuse::Refusal;
use crate::active::Active;
use crate::adapter::Route;
use crate::adapter::feast_http::{self, ParseLimits, Read};
use crate::fault::Fault;
use crate::headers;
use crate::limit::Limiter;
use crate::refusal::Reason;
use crate::tally::Tally;
use crate::upstream::Upstream;
use crate::visitor::Visitor;

/// What the stages judge by.
pub(crate) struct Bench<'p> {
    pub(crate) active: &'p Active,
    pub(crate) limiter: &'p Limiter,
    pub(crate) visitor: &'p Visitor,
    pub(crate) limits: &'p crate::config::Limits,
    /// Unix seconds.
    pub(crate) now: i64,
}

/// A request that goes on.
pub(crate) struct Pass<'b> {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) authorization: UpstreamAuth,
    pub(crate) form: Form<'b>,
}

/// How it goes on.
pub(crate) enum Form<'b> {
    /// As it came; its answer passes as it comes (observe). A route of ours tells whether it may be sent again.
    Verbatim { route: Option<Route> },
    /// Written anew from what was judged. `narrow` holds what the answer is narrowed to (enforce, and services
    /// beside an enforced set).
    Rewritten {
        route: Route,
        body: Vec<u8>,
        narrow: Option<Box<Narrow<'b>>>,
    },
}

/// What a narrowed answer may hold.
pub(crate) struct Narrow<'b> {
    pub(crate) read: Read<'b>,
    pub(crate) decision: Decision,
    /// What was left out of the request, by name.
    pub(crate) stripped: Vec<String>,
}

/// The verdict on one request, as it is recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judged {
    pub(crate) tally: Tally,
    pub(crate) outcome: &'static str,
    pub(crate) reason: &'static str,
    pub(crate) mode: Mode,
    pub(crate) applied: bool,
}

impl<'p> Bench<'p> {
    /// Before anything is read: who may hope for an answer at all, and whether the route exists.
    pub(crate) fn admit(&self, head: &Parts) -> Result<Option<Route>, Refusal> {
        if self.visitor.peer.is_none() && !self.active.admits_unidentified(self.now).0 {
            return Err(Refusal::plain(Reason::IdentityRequired));
        }
        match route(head) {
            None if self.lenient() => Ok(None),
            None => Err(Refusal::plain(Reason::UnknownRoute)),
            found => Ok(found),
        }
    }

    /// Whether all that is served is only observed, so that what cannot be judged passes.
    pub(crate) fn lenient(&self) -> bool {
        self.active.policy.mode_at(self.now) == Mode::Observe
    }

    /// Judge a request on no route of ours, which passes in observe only.
    pub(crate) fn unmanaged<'b>(&self, head: &Parts, account: &mut Account) -> Result<Pass<'b>, Refusal> {
        self.unread(Tally::UnmanagedRoute, Reason::UnknownRoute, None, head, account)
    }

    /// Judge a request on one of our routes.
    pub(crate) fn judge<'b>(
        &self,
        route: Route,
        head: &Parts,
        body: &'b Bytes,
        account: &mut Account,
    ) -> Result<Pass<'b>, Refusal>
    where
        'p: 'b,
    {
        let parsed = self.parse(route, head, body);
        // Where nothing is refused, there is nothing to hide, and what cannot be judged is said to be so.
        let parsed = match self.lenient() {
            true => parsed.and_then(Read::sound),
            false => parsed,
        };
        match parsed {
            Ok(read) => self.decide(route, head, read, account),
            Err(fault) if self.lenient() => {
                account.detail(fault.detail);
                self.unread(Tally::Unjudged, fault.reason, Some(route), head, account)
            }
            Err(fault) => Err(fault.into()),
        }
    }

    fn parse<'b>(&self, route: Route, head: &Parts, body: &'b Bytes) -> Result<Read<'b>, Fault> {
        let columns = |name: &str| self.active.policy.entity_column(name);
        let limits = ParseLimits {
            depth: self.limits.depth,
        };
        // No other arm: every route must say how it is read.
        match route {
            Route::GetOnlineFeatures => {
                feast_http::check_headers(&head.headers)?;
                feast_http::parse(body, columns, &limits)
            }
        }
    }

    /// Let pass what was not read: only where every set is observed, and admits the caller.
    fn unread<'b>(
        &self,
        tally: Tally,
        reason: Reason,
        route: Option<Route>,
        head: &Parts,
        account: &mut Account,
    ) -> Result<Pass<'b>, Refusal> {
        if self.visitor.peer.is_none() && !self.active.admits_unidentified(self.now).1 {
            return Err(Refusal::plain(Reason::IdentityRequired));
        }
        let unread = Judged {
            tally,
            outcome: tally.as_str(),
            reason: reason.as_str(),
            mode: Mode::Observe,
            applied: false,
        };
        account.judged(self.token_seen(unread, &[], head), self.active.label(None));
        let upstream = self.active.first_upstream().ok_or_else(no_server)?;
        let authorization = self.authorization(&[], Mode::Observe, head)?;
        Ok(Pass {
            upstream: Arc::clone(upstream),
            authorization,
            form: Form::Verbatim { route },
        })
    }

    fn decide<'b>(
        &self,
        route: Route,
        head: &Parts,
        read: Read<'b>,
        account: &mut Account,
    ) -> Result<Pass<'b>, Refusal> {
        let Settled {
            decision,
            upstream,
            authorization,
            body,
            stripped,
        } = self.settle(head, &read, account)?;
        let form = match decision.mode {
            Mode::Observe if !self.guarded(&read) => Form::Verbatim { route: Some(route) },
            Mode::Shadow if !self.guarded(&read) => Form::Rewritten {
                route,
                body,
                narrow: None,
            },
            _ => Form::Rewritten {
                route,
                body,
                narrow: Some(Box::new(Narrow {
                    read,
                    decision,
                    stripped,
                })),
            },
        };
        Ok(Pass {
            upstream,
            authorization,
            form,
        })
    }

    /// The decision, and all that follows from it before the feature server is asked.
    fn settle(&self, head: &Parts, read: &Read<'_>, account: &mut Account) -> Result<Settled, Refusal> {
        let names = read.features();
        let features = match read.service() {
            Some(service) => Features::Service(service),
            None => Features::Named(&names),
        };
        let request = Request {
            identity: self.visitor.identity(),
            features,
            rows: read.rows(),
            now: self.now,
        };
        let mut decision = self.active.policy.decide(&request);
        let refused = decision.outcome != Outcome::Allow && self.applies(&decision);
        // It tells what the catalogue declares, which is not for a caller who may not ask for this.
        if let Some(fault) = read.objection().filter(|_| !refused) {
            return Err(fault.clone().into());
        }
        let wait = self.limit(&mut decision, read.rows(), account.started);
        let judged = self.token_seen(self.judged(&decision), &decision.feature_sets, head);
        account.asked(&self.active.policy, &request, &decision);
        account.judged(judged, self.active.label(Some(&decision)));
        if judged.applied && decision.outcome != Outcome::Allow {
            return Err(denial(&self.active.policy, &request, &decision, wait));
        }
        let sets = &decision.feature_sets;
        Ok(Settled {
            authorization: self.authorization(sets, decision.mode, head)?,
            upstream: self.active.upstream(sets).map(Arc::clone).ok_or_else(no_server)?,
            body: self.body(&request, read, &decision),
            stripped: self.stripped(&request, &decision),
            decision,
        })
    }

    /// The engine's own cap and the buckets, for what policy would allow. They count in every mode, so that
    /// observing shows what enforcing would limit.
    fn limit(&self, decision: &mut Decision, rows: u64, now: Instant) -> Option<Duration> {
        if decision.outcome != Outcome::Allow {
            return None;
        }
        if rows > self.limits.rows {
            decision.outcome = Outcome::Deny;
            decision.reason = DecisionReason::RowsOverLimit;
            return None;
        }
        let wait = match &*decision.charges {
            [one] => self
                .active
                .bucket(one.binding)
                .and_then(|bucket| self.limiter.charge(&[(bucket, one.cost)], now).err()),
            many => self.limiter.charge(&self.active.charged(many), now).err(),
        };
        if wait.is_some() {
            decision.outcome = Outcome::Limited;
        }
        wait
    }

    /// A refusal is applied in enforce, and for callers without identity whom the sets do not admit.
    fn applies(&self, decision: &Decision) -> bool {
        let nobody = self.visitor.peer.is_none() && !decision.unidentified_allowed;
        nobody || decision.mode == Mode::Enforce
    }

    fn judged(&self, decision: &Decision) -> Judged {
        let applied = self.applies(decision);
        let tally = match (decision.outcome, applied) {
            (Outcome::Allow, _) => Tally::Allow,
            (Outcome::Limited, true) => Tally::Limited,
            (Outcome::Limited, false) => Tally::WouldLimit,
            (_, true) => Tally::Denied,
            (_, false) => Tally::WouldDeny,
        };
        let reason = match decision.outcome {
            Outcome::Limited => Reason::RateLimited.as_str(),
            _ => decision.reason.as_str(),
        };
        Judged {
            tally,
            outcome: decision.outcome.as_str(),
            reason,
            mode: decision.mode,
            applied,
        }
    }

    /// Whether an answer must be narrowed although its set is not enforced. What a service holds is the feature
    /// server's to say, so that one of an observed set might hold features of an enforced one beside it.
    fn guarded(&self, read: &Read<'_>) -> bool {
        read.service().is_some() && self.active.policy.mode_at(self.now) == Mode::Enforce
    }

    /// The request written anew, without what is left out of it. In observe nobody reads it, but for a service
    /// that is guarded.
    fn body(&self, request: &Request<'_>, read: &Read<'_>, decision: &Decision) -> Vec<u8> {
        if decision.mode == Mode::Observe && !self.guarded(read) {
            return Vec::new();
        }
        if decision.mode != Mode::Enforce || decision.stripped.is_empty() {
            return read.write(None);
        }
        let granted = decision.granted.iter();
        let names: Vec<&str> = granted
            .filter_map(|grant| self.active.policy.name_at(request, grant.position))
            .collect();
        read.write(Some(&names))
    }

    fn stripped(&self, request: &Request<'_>, decision: &Decision) -> Vec<String> {
        let names = decision
            .stripped
            .iter()
            .filter_map(|place| self.active.policy.name_at(request, *place));
        names.map(str::to_owned).collect()
    }

    /// What becomes of `Authorization`. A token that nobody signed is refused wherever anything is refused.
    fn authorization(&self, sets: &[SetIndex], mode: Mode, head: &Parts) -> Result<UpstreamAuth, Refusal> {
        if mode != Mode::Observe && self.passes_unsigned(sets, head) {
            return Err(Refusal::plain(Reason::UnsignedToken));
        }
        Ok(self.active.authorization(sets))
    }

    /// In observe such a token passes, as everything does. But no caller from outside has it by mistake, so that it
    /// is what the record says of the request, whatever else there is to say.
    fn token_seen(&self, judged: Judged, sets: &[SetIndex], head: &Parts) -> Judged {
        if judged.mode != Mode::Observe || judged.applied || !self.passes_unsigned(sets, head) {
            return judged;
        }
        Judged {
            tally: Tally::WouldDeny,
            outcome: Outcome::Deny.as_str(),
            reason: Reason::UnsignedToken.as_str(),
            ..judged
        }
    }

    fn passes_unsigned(&self, sets: &[SetIndex], head: &Parts) -> bool {
        self.active.authorization(sets) == UpstreamAuth::Passthrough
            && headers::authorizations(&head.headers).any(headers::is_unsigned_token)
    }
}

/// What is settled of a request once it is decided.
struct Settled {
    decision: Decision,
    upstream: Arc<Upstream>,
    authorization: UpstreamAuth,
    body: Vec<u8>,
    stripped: Vec<String>,
}

/// The route of a request. In HTTP/1 the target must be the path itself: an absolute form is another spelling.
pub(super) fn route(head: &Parts) -> Option<Route> {
    if head.version != http::Version::HTTP_2 && head.uri.scheme().is_some() {
        return None;
    }
    Route::find(&head.method, &head.uri)
}

fn no_server() -> Refusal {
    Refusal::new(
        Reason::UpstreamUnreachable,
        "these features have no feature server in common that this sidecar knows",
    )
}
