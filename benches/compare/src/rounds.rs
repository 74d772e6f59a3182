//! Rounds: ours and the rival in turn, the machine's limit before and after, ratios within the round, medians over rounds.
//!
//! On a virtual machine the distance between two cores changes from second to second. A round in which the limit moved
//! compares two machines, so it is repeated; when the repeats are used up, it counts all the same and is reported as unstable.

use std::collections::BTreeMap;

use crate::process::Fallible;

/// How far the limit may move during a round: the larger at most this many times the smaller.
pub(crate) const STEADY: f64 = 1.15;

/// How many rounds, how long each side of one takes, and how many may be repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) millis: u64,
    pub(crate) repeats: usize,
}

/// What one side of one round measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) value: f64,
    pub(crate) extra: BTreeMap<String, f64>,
}

/// A median and the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) p25: f64,
    pub(crate) p75: f64,
}

impl Spread {
    /// `None` without values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        (!values.is_empty()).then(|| Self { median: at(0.5), p25: at(0.25), p75: at(0.75) })
    }
}

/// A comparison over all rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Paired {
    pub(crate) ours: Vec<Sample>,
    pub(crate) theirs: Vec<Sample>,
    pub(crate) limits: Vec<f64>,
    /// Rounds that counted although the limit moved in them.
    pub(crate) unstable: usize,
    pub(crate) repeated: usize,
}

impl Paired {
    /// Ours by theirs, round by round.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        Spread::of(self.ours.iter().zip(&self.theirs).map(|(ours, theirs)| ours.value / theirs.value))
    }

    /// The same rounds by another figure, which is then the only one.
    pub(crate) fn by(&self, key: &str) -> Self {
        let pick = |samples: &[Sample]| {
            let value = |sample: &Sample| sample.extra.get(key).copied().unwrap_or(f64::NAN);
            samples.iter().map(|sample| Sample { value: value(sample), ..Sample::default() }).collect()
        };
        Self { ours: pick(&self.ours), theirs: pick(&self.theirs), ..self.clone() }
    }

    /// The largest value of all rounds on each side, as if there had been one round.
    pub(crate) fn worst(&self) -> Self {
        let pick = |samples: &[Sample]| {
            samples.iter().max_by(|one, other| one.value.total_cmp(&other.value)).cloned().into_iter().collect()
        };
        Self { ours: pick(&self.ours), theirs: pick(&self.theirs), ..self.clone() }
    }
}

/// Measures `ours` (if there is one) and `theirs` in turn, changing who goes first from round to round.
pub(crate) fn paired(
    plan: Plan,
    mut limit: impl FnMut() -> Fallible<f64>,
    mut ours: Option<&mut dyn FnMut() -> Fallible<Sample>>,
    theirs: &mut dyn FnMut() -> Fallible<Sample>,
) -> Fallible<Paired> {
    let mut result = Paired::default();
    let mut before = limit()?;
    while result.theirs.len() < plan.rounds {
        let swap = (result.theirs.len() + result.repeated) % 2 == 1;
        let mut them = if swap { Some(theirs()?) } else { None };
        let us = ours.as_mut().map(|measure| measure()).transpose()?;
        let them = match them.take() {
            Some(sample) => sample,
            None => theirs()?,
        };
        let after = limit()?;
        let moved = before.max(after) > STEADY * before.min(after);
        let round_limit = f64::midpoint(before, after);
        before = after;
        if moved && result.repeated < plan.repeats {
            result.repeated += 1;
            continue;
        }
        result.unstable += usize::from(moved);
        result.limits.push(round_limit);
        result.ours.extend(us);
        result.theirs.push(them);
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: Plan = Plan { rounds: 4, millis: 1, repeats: 2 };

    fn sample(value: f64) -> Sample {
        Sample { value, ..Sample::default() }
    }

    #[test]
    fn spread_interpolates() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(spread, Spread { median: 2.5, p25: 1.75, p75: 3.25 });
        assert_eq!(Spread::of([7.0]).unwrap(), Spread { median: 7.0, p25: 7.0, p75: 7.0 });
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine slows down fourfold in the middle; the ratio does not notice.
        let speeds = [1.0, 1.0, 4.0, 4.0];
        let (mut i, mut j) = (0, 0);
        let mut ours = || {
            i += 1;
            Ok(sample(speeds[i - 1]))
        };
        let mut theirs = || {
            j += 1;
            Ok(sample(2.0 * speeds[j - 1]))
        };
        let result = paired(PLAN, || Ok(50.0), Some(&mut ours), &mut theirs).unwrap();
        assert_eq!(result.ratio().unwrap(), Spread { median: 0.5, p25: 0.5, p75: 0.5 });
        assert_eq!((result.unstable, result.repeated), (0, 0));
    }

    #[test]
    fn another_figure_of_the_same_rounds() {
        let with = |p99: f64| Sample { value: 1.0, extra: [("p99".to_owned(), p99)].into() };
        let paired = Paired { ours: vec![with(3.0)], theirs: vec![with(6.0)], unstable: 1, ..Paired::default() };
        let by = paired.by("p99");
        assert_eq!(by.ratio().unwrap().median, 0.5);
        assert_eq!((by.unstable, by.ours[0].extra.len()), (1, 0));
        assert!(paired.by("nothing").ours[0].value.is_nan());
    }

    #[test]
    fn the_worst_of_the_rounds() {
        let paired =
            Paired { ours: [2.0, 9.0, 4.0].map(sample).into(), theirs: vec![sample(3.0)], ..Paired::default() };
        let worst = paired.worst();
        assert_eq!((worst.ours, worst.theirs), (vec![sample(9.0)], vec![sample(3.0)]));
        assert!(Paired::default().worst().ours.is_empty());
    }

    #[test]
    fn a_round_in_which_the_limit_moved_is_repeated() {
        let mut limits = [50.0, 50.0, 200.0, 200.0, 200.0, 200.0].into_iter();
        let mut measured = 0;
        let mut theirs = || {
            measured += 1;
            Ok(sample(f64::from(measured)))
        };
        let result = paired(PLAN, || Ok(limits.next().unwrap()), None, &mut theirs).unwrap();
        let kept: Vec<f64> = result.theirs.iter().map(|s| s.value).collect();
        assert_eq!(kept, [1.0, 3.0, 4.0, 5.0]);
        assert_eq!((result.unstable, result.repeated), (0, 1));
        assert_eq!(result.limits, [50.0, 200.0, 200.0, 200.0]);
    }

    #[test]
    fn repeats_are_bounded_and_then_reported() {
        let mut limit = 1.0;
        let result = paired(
            PLAN,
            || {
                limit *= 2.0;
                Ok(limit)
            },
            None,
            &mut || Ok(sample(1.0)),
        )
        .unwrap();
        assert_eq!((result.theirs.len(), result.unstable, result.repeated), (4, 4, 2));
    }

    #[test]
    fn whoever_goes_first_changes() {
        let order = std::cell::RefCell::new(String::new());
        let mut ours = || {
            order.borrow_mut().push('o');
            Ok(sample(1.0))
        };
        let mut theirs = || {
            order.borrow_mut().push('t');
            Ok(sample(1.0))
        };
        paired(PLAN, || Ok(1.0), Some(&mut ours), &mut theirs).unwrap();
        assert_eq!(*order.borrow(), "ottootto");
    }
}
